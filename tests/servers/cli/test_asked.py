"""Calls that wait, answers to them, and what a run is told, in lines for a terminal."""

from typing import Any

import pytest

from trio_agent import (
    Content,
    File,
    Text,
    ToolAnswered,
    ToolAsked,
    ToolName,
    ToolRequest,
    UserSaid,
)
from trio_agent.servers.cli._asked import answered_line, asked_line, said_lines


@pytest.mark.parametrize(
    ("kind", "arguments", "line"),
    [
        ("approval", {"path": "/"}, 'rm({"path":"/"}) waits for somebody to approve it'),
        ("input", {"q": "How?"}, 'rm({"q":"How?"}) waits for an answer'),
        ("more-than-we-know", {}, "rm({}) waits for an answer"),
        # All of it is seen, and it is one line, whatever the model has written.
        ("input", "a\n?? b()", 'rm("a\\n?? b()") waits for an answer'),
        ("input", "\x1b[2J", 'rm("\\u001b[2J") waits for an answer'),
        ("input", "\x9b\u202eb", 'rm("\\u009b\\u202eb") waits for an answer'),
    ],
)
def test_who_waits(kind: str, arguments: Any, line: str) -> None:
    asked = ToolAsked(at=0, tool=ToolRequest("c\n1", "rm", arguments), kind=kind, deadline=None)
    assert asked_line(asked) == f"?? {line} [c 1]"


@pytest.mark.parametrize(
    ("answered", "line"),
    [
        (ToolAnswered(at=0, tool=ToolName("c", "rm"), approved=True), "!! rm: yes"),
        (
            ToolAnswered(at=0, tool=ToolName("c", "r\nm"), approved=False, by="a\x1b", reason="b"),
            "!! r m: no by a: b",
        ),
    ],
)
def test_what_was_answered(answered: ToolAnswered, line: str) -> None:
    assert answered_line(answered) == line


@pytest.mark.parametrize(
    ("content", "by", "lines"),
    [
        ("Stop.", None, [">> Stop."]),
        ("Stop.", "ann", [">> ann: Stop."]),
        (
            (Text("This:"), File("image/png", url="https://h/x")),
            None,
            [">> This:", "   image/png, https://h/x"],
        ),
    ],
)
def test_what_it_was_told(content: Content, by: str | None, lines: list[str]) -> None:
    assert said_lines(UserSaid(at=0, content=content, by=by)) == lines
