"""Locks that end with their holder."""

import multiprocessing
from pathlib import Path

import pytest

from trio_agent import _file_lock
from trio_agent._file_lock import lock_file


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("wb") as one, path.open("wb") as two:
        lock_file(one)
        with pytest.raises(BlockingIOError):
            lock_file(two.fileno())
    with path.open("wb") as three:
        lock_file(three)


def _lock_and_die(path: Path) -> None:
    lock_file(path.open("wb"))


def test_a_holder_that_died(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_lock_and_die, args=(tmp_path / "x",)
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    with (tmp_path / "x").open("wb") as file:
        lock_file(file)


def test_a_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file_lock, "fcntl", None)
    with (tmp_path / "x").open("wb") as file, pytest.raises(OSError, match="no POSIX file locks"):
        lock_file(file)
