"""What was said before, shortly."""

import pytest

from trio_agent import (
    AnyMessage,
    AssistantMessage,
    File,
    SystemMessage,
    Text,
    ToolMessage,
    ToolRequest,
    UserMessage,
)
from trio_agent.servers.cli._past import last_lines

CALL = ToolRequest("c", "look", {})
PICTURE = File("image/png", blob="run/0f", name="a\x1b.png")


@pytest.mark.parametrize(
    ("messages", "lines"),
    [
        ((), []),
        ((UserMessage("a\nb\x1b[2J"), AssistantMessage("c")), ["you: a b[2J", "answer: c"]),
        ((UserMessage("x" * 200),), [f"you: {'x' * 200}"]),
        ((UserMessage("x" * 201),), [f"you: {'x' * 200}…"]),
        ((UserMessage((PICTURE, Text("what?"))),), ["you: a.png, image/png | what?"]),
        # What is no talk is left out, and does not count.
        (
            (
                UserMessage("1"),
                SystemMessage("s"),
                UserMessage("2"),
                AssistantMessage("", (CALL,)),
                ToolMessage("c", "snow"),
                AssistantMessage("3"),
                UserMessage("4"),
                AssistantMessage("5"),
            ),
            ["you: 2", "answer: 3", "you: 4", "answer: 5"],
        ),
    ],
)
def test_last_lines(messages: tuple[AnyMessage, ...], lines: list[str]) -> None:
    assert last_lines(messages) == lines
