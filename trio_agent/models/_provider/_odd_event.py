"""What stands in the data of an event that is no chunk to the letter.

Seen: nothing, a word, a mark or a number, to keep the connection alive; `[DONE]` with white space,
in quotes, without brackets or as `[EOS]`; several events without empty lines between them or in one
line; an event that was framed twice (`data: data: {...}`); errors in all shapes, as plain text
too, also behind a chunk that is broken.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from ._complaint import Complaint, complaint_in
from ._errors import provider_error
from ._json import parse_json

_DONE = frozenset({"[DONE]", "DONE", "[END]", "[EOS]"})
_KEEP_ALIVE = re.compile(
    r"\W*(ping|pong|keep.?alive|heart.?beat|processing|connected|none|undefined)\W*"
    r"|\[(?!\w*(error|fail))\w+\]",
    re.IGNORECASE,
)
_BROKEN = re.compile(r"\{|\[(?!\w+\])")
"""The begin of JSON, but not `[DONE]` or the like."""
_LINE = re.compile(r"[^\n]+")
_PREFIX = re.compile(r"\A(\s*data:)+")
_BETWEEN = re.compile(r"[\s,]*(data:\s*)*")
_MAX_VALUES = 1000
"""In one line."""
_JSON = json.JSONDecoder(strict=False)


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
        lines = (line[0] for line in _LINE.finditer(text))
        for line in lines:
            try:
                for value in _values(line):
                    yield from read_odd_value(value, event, secret=secret)
            except (ValueError, RecursionError):
                if _KEEP_ALIVE.fullmatch(event):
                    return
                _raise_complaint(lines, event, secret)
                raise
    else:
        yield from read_odd_value(value, event, secret=secret)


def read_odd_value(
    value: Any, event: str = "message", *, secret: str = ""
) -> Iterator[dict[str, Any] | None]:
    """Do the same with JSON that was parsed; a string is plain text."""
    is_life = _KEEP_ALIVE.fullmatch(event) is not None
    if is_life and isinstance(value, dict) and not value.keys() & {"error", "choices"}:
        return
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
            elif text and not is_life and not _KEEP_ALIVE.fullmatch(text):
                raise provider_error(Complaint(text), secret=secret)
        case _:
            pass  # null, a number or a boolean says nothing


def _values(line: str) -> Iterator[Any]:
    """Return the JSON values in a line, or its text."""
    line = _PREFIX.sub("", line, count=1).strip()
    try:
        yield parse_json(line)
        return
    except json.JSONDecodeError:
        if not _BROKEN.match(line):
            yield line
            return
    position = 0
    for _ in range(_MAX_VALUES):
        value, end = _JSON.raw_decode(line, position)
        yield value
        between = _BETWEEN.match(line, end)
        position = between.end() if between else end
        if (rest := line[position : position + 8].upper()) in _DONE or not rest:
            yield rest
            return
    raise ValueError("it has too many values")


def _raise_complaint(lines: Iterator[str], event: str, secret: str) -> None:
    """Raise what the lines behind a broken one complain about: it is why that one is broken."""
    for line in lines:
        try:
            said = complaint_in(parse_json(_PREFIX.sub("", line, count=1)), event)
        except (ValueError, RecursionError):
            continue
        if said:
            raise provider_error(said, secret=secret) from None
