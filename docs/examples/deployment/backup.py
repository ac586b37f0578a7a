"""python backup.py runs.db copy.db: copy a store, while its server goes on."""

import os
import sqlite3
import sys
from contextlib import closing

source, copy = sys.argv[1:]
os.umask(0o077)  # what is in it is nobody else's business
with (
    closing(sqlite3.connect(f"file:{source}?mode=rw", uri=True)) as store,
    closing(sqlite3.connect(copy)) as target,
):
    store.backup(target)
