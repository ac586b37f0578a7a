"""What was said before, shortly."""

import pytest

from trio_agent import (
    AnyMessage,
    AssistantMessage,
    File,
    PageTurn,
    SystemMessage,
    Text,
    ToolMessage,
    ToolRequest,
    TurnPage,
    UserMessage,
)
from trio_agent.servers.cli._past import last_lines, said_last

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


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((), None),
        ((4,), "1"),
        ((2, 2), "2"),
        # Nobody said anything in the last one.
        ((4, 0), None),
        ((3, 1), None),
    ],
)
def test_said_last(counts: tuple[int, ...], said: str | None) -> None:
    messages = (UserMessage("1"), AssistantMessage("a"), UserMessage("2"), AssistantMessage("b"))
    turns = tuple(PageTurn(str(number), None, count) for number, count in enumerate(counts))
    found = said_last(TurnPage(messages, turns, None))
    assert found == (None if said is None else UserMessage(said))
