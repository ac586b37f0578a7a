"""Saying something never stops doing something."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from trio_agent.servers.cli import _say
from trio_agent.servers.cli._say import Stderr, announce, put, say


@contextmanager
def stderr_is_a_pipe() -> Iterator[tuple[int, IO[str]]]:
    """Standard error is a pipe, with this reading end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    # pytest sets its own stream between a fixture and its test.
    with (
        open(reading, "rb") as _,
        open(writing, "w", errors="backslashreplace") as file,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stderr", file)
        yield reading, file


def fill(file: IO[str]) -> int:
    number = file.fileno()
    os.set_blocking(number, False)
    size = 0
    try:
        while True:
            size += os.write(number, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(number, True)
    return size


def test_to_a_reader() -> None:
    with stderr_is_a_pipe() as (reading, _):
        say("a\x1b[31m\nb \U0001f600")
        put("\x1b[K")
        assert os.read(reading, 100) == "a[31m\nb \U0001f600\n\x1b[K".encode()


def test_long_text_that_fits() -> None:
    text = "\U0001f600" * 1000
    with stderr_is_a_pipe() as (reading, _):
        say(text)
        assert os.read(reading, 10_000).decode() == f"{text}\n"


def test_full_pipe() -> None:
    with stderr_is_a_pipe() as (reading, file):
        size = fill(file)
        say("lost")
        say("lost " * 10_000)
        assert os.read(reading, 1 << 20) == b"x" * size
        say("found")
        assert os.read(reading, 100) == b"found\n"


def test_more_than_the_pipe_holds() -> None:
    with stderr_is_a_pipe() as (reading, _):
        say("x" * (1 << 20))
        assert len(os.read(reading, 1 << 20)) >= 4096


def test_reader_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", buffering=1) as file:
        monkeypatch.setattr(sys, "stderr", file)
        for _ in range(3):
            say("to nobody " * 10_000)


def test_no_stream_and_a_closed_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open(os.devnull, "w") as closed:
        pass
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        say("to nobody")


def test_as_a_file(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    file = Stderr()
    assert not file.isatty()
    assert file.write("a\rb") == 3
    file.flush()
    assert capsys.readouterr().err == "a\rb"
    monkeypatch.setattr(sys, "stderr", None)
    assert not file.isatty()


def test_where_files_can_not_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_say.select, "poll")
    with stderr_is_a_pipe() as (reading, _):
        say("x")
        assert os.read(reading, 100) == b"x\n"


def test_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    announce("ready")
    assert capsys.readouterr() == ("ready\n", "")
