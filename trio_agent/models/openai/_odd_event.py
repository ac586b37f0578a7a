"""What stands in the data of an event that is no chunk to the letter.

Seen: nothing or a word, to keep the connection alive; `[DONE]` with white space, in quotes or
without brackets; several events without empty lines between them; an event that was framed twice
(`data: data: {...}`); errors in all shapes, as plain text too.
"""

import re
from collections.abc import Iterator
from typing import Any

from ._complaint import Complaint, complaint_in
from ._errors import provider_error
from ._lenient import parse_json

_DONE = frozenset({"[DONE]", "DONE"})
_KEEP_ALIVE = re.compile(
    r"\W*(ping|pong|keep.?alive|heart.?beat|processing|none|undefined)\W*", re.IGNORECASE
)
_BROKEN = re.compile(r"\{|\[(?!\w+\]\Z)")
"""The begin of JSON, but not `[DONE]` or the like."""
_LINE = re.compile(r"[^\n]+")
_PREFIX = re.compile(r"\A(\s*data:)+")


def read_odd_event(
    text: str, event: str = "message", *, secret: str = ""
) -> Iterator[dict[str, Any] | None]:
    """Read the data of an event: JSON objects, and None where the stream says that it is done.

    Args:
        text: the data.
        event: the event's type.
        secret: cut out of a provider's message.

    Raises:
        ModelError: the provider reports an error.
        ValueError: it can't be understood.
        RecursionError: it is nested too deeply.
    """
    try:
        value = parse_json(text)
    except (ValueError, RecursionError):
        bare = _PREFIX.sub("", text).strip()
        if bare != text or "\n" in text:
            for line in _LINE.finditer(bare):
                yield from read_odd_event(line[0], event, secret=secret)
            return
        if _BROKEN.match(text):
            raise
        value = text
    yield from read_odd_value(value, event, secret=secret)


def read_odd_value(
    value: Any, event: str = "message", *, secret: str = ""
) -> Iterator[dict[str, Any] | None]:
    """Do the same with JSON that was parsed; a string is plain text."""
    if said := complaint_in(value, event):
        raise provider_error(said, secret=secret)
    match value:
        case dict():
            yield value
        case list():
            for item in value:
                yield from read_odd_value(item, event, secret=secret)
        case str():
            text = value.strip()
            if text.upper() in _DONE:
                yield None
            elif text and not _KEEP_ALIVE.fullmatch(text) and not _KEEP_ALIVE.fullmatch(event):
                raise provider_error(Complaint(text), secret=secret)
        case None:
            pass
        case _:
            raise ValueError("an event is a JSON object")
