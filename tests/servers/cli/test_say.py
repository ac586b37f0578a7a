"""Saying something never stops doing something."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from trio_agent.servers.cli import _say
from trio_agent.servers.cli._say import SayHandler, Stderr, announce, put, say


@contextmanager
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Put a real pipe in the place of standard error; yields the end that is read."""
    reader, writer = os.pipe()
    stream = open(writer, "w", encoding="utf-8")  # noqa: SIM115
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        yield reader
    finally:
        # Nothing is left in it that its end would try to write.
        stream.close()
        os.close(reader)


def fill(writer: int) -> int:
    """Write until no more goes in."""
    os.set_blocking(writer, False)
    size = 0
    try:
        while True:
            size += os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
        return size


def test_lines_are_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say("to people")
    announce("to programs")
    assert capsys.readouterr() == ("to programs\n", "to people\n")
    with pipe(monkeypatch) as reader:
        say("é " * 1000 + "\ud800")
        assert os.read(reader, 10_000).decode() == "é " * 1000 + "\\ud800\n"


def test_what_strangers_say_is_made_safe(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[31m\r\u202eb")
    announce("a\x9bc")
    put("\r\x1b[K")
    assert capsys.readouterr() == ("ac\n", "a[31mb\n\r\x1b[K")


def test_standard_error_as_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Stderr()
    assert not file.isatty()
    assert file.write("a\rb") == 3
    file.flush()
    assert capsys.readouterr().err == "a\rb"
    monkeypatch.setattr(sys, "stderr", None)
    assert not file.isatty()
    file.write("to nobody")


def test_full_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe(monkeypatch) as reader:
        size = fill(sys.stderr.fileno())
        say("x" * 100_000)  # returns
        os.read(reader, size)
        say("heard again")
        assert b"heard again\n" in os.read(reader, size)


def test_line_that_fits_in_part_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe(monkeypatch) as reader:
        say("x" * (1 << 22))
        assert len(os.read(reader, 1 << 23)) < 1 << 22


def test_reader_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with open(writer, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        os.close(reader)
        say("nobody listens")
        say("nobody listens")
    say("it is closed")
    monkeypatch.setattr(sys, "stderr", None)
    say("there is none")


def test_stream_that_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    say("x")
    assert stream.getvalue() == "x\n"
    monkeypatch.setattr(sys, "stderr", object())
    with pytest.raises(AttributeError):
        sys.stderr.write("a program that puts nonsense there finds out")


def test_where_files_can_not_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_say.select, "poll")
    with pipe(monkeypatch) as reader:
        say("x")
        assert os.read(reader, 100) == b"x\n"


def test_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("a.name")
    logger.propagate = False
    handler = SayHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    with pipe(monkeypatch) as reader:
        logger.warning("%s is away", "it")
        assert os.read(reader, 1000) == b"WARNING a.name: it is away\n"
        told: list[Any] = []
        monkeypatch.setattr(handler, "handleError", told.append)
        logger.warning("%d is no number", "x")
        assert len(told) == 1
    logger.removeHandler(handler)
