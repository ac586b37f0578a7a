import sqlite3
import sys
from contextlib import closing
from pathlib import Path


def main(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as db,
        closing(sqlite3.connect(target)) as copy,
    ):
        db.backup(copy, pages=1000)


main(Path(sys.argv[1]), Path(sys.argv[2]))
