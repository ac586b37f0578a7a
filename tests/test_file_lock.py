"""Locks that end with their holder."""

import sys
from pathlib import Path
from subprocess import PIPE, Popen

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


def test_a_holder_that_died(tmp_path: Path) -> None:
    program = """
import sys
from trio_agent.abc import lock_file
file = open(sys.argv[1], "wb")
lock_file(file)
print("locked", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(tmp_path / "x")]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with (tmp_path / "x").open("wb") as file, pytest.raises(BlockingIOError):
            lock_file(file)
        process.kill()
    with (tmp_path / "x").open("wb") as file:
        lock_file(file)


def test_a_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file_lock, "fcntl", None)
    with (tmp_path / "x").open("wb") as file, pytest.raises(OSError, match="no POSIX file locks"):
        lock_file(file)
