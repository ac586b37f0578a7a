"""Where the tests of this folder keep their file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from trio_agent.stores.sqlite._schema import migrate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file with our tables, which commits each statement."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, path)
        yield db
