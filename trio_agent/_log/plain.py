"""What may become JSON in a log: only what each reader of it reads back as it was.

Readers are our own decoders, databases, browsers and whatever follows a stream. They differ in how
deep they go, in what numbers they hold, and in what text they take (RFC 8259, sections 6, 8 and 9;
RFC 7493, "I-JSON"). So the bounds are checked where a value comes in, and nowhere else.
"""

import json
import math
import re
from typing import Any, Final

import msgspec

_MAX_DEPTH: Final = 100
"""Containers within each other. Every event with the value in it stays well below all stacks."""

_MAX_INT: Final = 2**53 - 1
"""Beyond it a browser reads another number (RFC 7493, section 2.2)."""

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoders of ours raise for bytes of strangers that are not what they should be."""

_HALVES: Final = re.compile("[\ud800-\udfff]")


def read_json(text: str) -> Any:
    """Read JSON that a model wrote, with faults of form that leave it one meaning.

    Text may hold control characters as they are, and halves of surrogate pairs, which become
    U+FFFD.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        return msgspec.json.decode(text)
    except ValueError as error:
        try:
            mended = json.dumps(json.loads(text, strict=False), ensure_ascii=False)
            return msgspec.json.decode(_HALVES.sub("\ufffd", mended))
        except ValueError:
            raise error from None


def is_json(text: str) -> bool:
    """Whether this is the text of a JSON value, and of none that some reader goes too deep in.

    So it is the same for all who ask, however deep their own stack is.
    """
    try:
        return not is_deep(read_json(text))
    except (ValueError, RecursionError):
        return False


def encode_json(value: Any) -> bytes:
    """Encode a value as JSON. What UTF-8 can't hold (lone surrogates) becomes `?`."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def plain_text(text: str) -> str:
    """Return a text as UTF-8 holds it: half a surrogate pair becomes `?`."""
    return text.encode("utf-8", "replace").decode()


def is_deep(value: Any) -> bool:
    """Whether a decoded JSON value is nested too deeply for some reader."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            item
            for container in level
            if isinstance(container, list | dict)
            for item in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return False
    return True


def plain_json(value: Any, what: str) -> Any:
    """Return a copy of a value that is JSON for everybody.

    Args:
        value: of str, int, float, bool, None, list, tuple, and dict with keys of str.
        what: names it in errors.

    Raises:
        ValueError: it is nothing of that, nested too deeply, or has a number or a text that some
            reader of JSON can't hold.
    """
    level = [value]
    for _ in range(_MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            match item:
                case dict():
                    for key in item:
                        if not isinstance(key, str):
                            raise ValueError(f"{what} has the key {key!r}: keys of JSON are text")
                        check_text(key, what)
                    below += item.values()
                case list() | tuple():
                    below += item
                case str():
                    check_text(item, what)
                case int():
                    if abs(item) > _MAX_INT:
                        raise ValueError(
                            f"{what} has an integer beyond 2**53 - 1, which not every reader of"
                            " JSON holds exactly: give it as text"
                        )
                case float():
                    if not math.isfinite(item):
                        raise ValueError(f"{what} has the number {item}, which JSON has not")
                case None:
                    pass
                case _:
                    raise ValueError(f"{what} has a {type(item).__name__}, which JSON has not")
        if not below:
            return msgspec.json.decode(msgspec.json.encode(value))
        level = below
    raise ValueError(f"{what} is nested more than {_MAX_DEPTH} levels deep")


def check_text(text: str, what: str) -> None:
    """Make sure that a text can be written as UTF-8.

    Raises:
        ValueError: it holds half a surrogate pair.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{what} has half a surrogate pair, which is no text") from None
