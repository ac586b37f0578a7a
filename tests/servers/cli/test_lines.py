"""Lines of a terminal that several speakers share: whose they are, and the status below them."""

import io
import os
import shutil

import pytest

from trio_agent.servers.cli._lines import Lines, Speaker


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_whose_line_it_is() -> None:
    file = io.StringIO()
    lines, one, two = Lines(file), Speaker("one", 1), Speaker("two", 2)
    root = Speaker()
    lines.flow(root, "I ")
    lines.flow(one, "wait")
    lines.flow(two, "wait, too\n")
    lines.flow(root, "speak.\n")
    # The first of those who waited has an open line now.
    assert file.getvalue() == "I speak.\n  one:\n  wait"
    lines.line(root, "Out!")
    lines.flow(one, " on\n")
    assert (
        file.getvalue()
        == "I speak.\n  one:\n  wait\nOut!\n  one:\n   on\n    two:\n    wait, too\n"
    )


def test_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((6, 24)))
    file, pipe = Terminal(), io.StringIO()
    for out in (file, pipe):
        lines, root = Lines(out), Speaker()
        lines.status("a status")
        lines.flow(root, "text")
        lines.status("not now")
        lines.line(root, "line")
        lines.status("\u65e5\u672c\u8a9e")
    assert file.getvalue() == ("\ra sta\x1b[K\r\x1b[Ktext\nline\n\r\u65e5\u672c\x1b[K")
    assert pipe.getvalue() == "text\nline\n"
