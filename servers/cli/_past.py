"""What was said in a conversation before, shortly, for a person who goes on with it."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from trio_agent import AnyMessage, AssistantMessage, TurnPage, UserMessage

from ._files import content_lines
from ._text import printable_line

_LAST: Final = 4
"""Messages that are recalled."""

_LONGEST: Final = 200
"""Characters of one that are shown."""


def last_lines(messages: Sequence[AnyMessage]) -> list[str]:
    """Tell the last that was said, a line for each message; tools are left out."""
    lines = (line for message in reversed(messages) if (line := _line(message)))
    return list(islice(lines, _LAST))[::-1]


def said_last(page: TurnPage) -> UserMessage | None:
    """Return what the last turn of a page answers; None if there is none, or nobody said it."""
    if not page.turns or not (count := page.turns[-1].messages):
        return None
    said = (message for message in page.messages[-count:] if isinstance(message, UserMessage))
    return next(said, None)


def _line(message: AnyMessage) -> str:
    match message:
        case UserMessage(content=content):
            return f"you: {_short(' | '.join(content_lines(content)))}"
        case AssistantMessage(content=text) if text:
            return f"answer: {_short(text)}"
    return ""


def _short(text: str) -> str:
    line = printable_line(text[: _LONGEST + 1])
    return line if len(text) <= _LONGEST else f"{line[:_LONGEST]}…"
