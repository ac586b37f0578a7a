"""What the beginning of a JSON text means so far.

- Open containers and strings are closed; a string ends behind its last whole character. What is
  not whole is left out: a number, a literal, an escape, half of a surrogate pair, a key without
  its value. Only a number that is all of the text is there at once: nothing tells its end.
- Text that is no JSON from some place on, or nested too deeply for any reader, means what it
  meant before that place. Nothing raises.
- A Markdown fence before the value is skipped; what stands behind the value means nothing.
- However the text is cut, it means the same. Each character is looked at once; reading the value
  costs as much as decoding the text.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from .._log.plain import read_json

_MAX_DEPTH: Final = 100
"""Containers within each other: what is deeper is no answer."""

_END_OF_FENCE: Final = re.compile(r"[\n{\[]")
_LITERALS: Final = {"t": "true", "f": "false", "n": "null"}
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_PLAIN: Final = re.compile(r'[^"\\]+')
_ESCAPE: Final = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_ESCAPE_SO_FAR: Final = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_HIGH_HALF: Final = re.compile(r"\\u[dD][89abAB]..")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_OF_NUMBERS: Final = re.compile(r"[-+.0-9eE]+")


def repair(text: str) -> Any:
    """The JSON value that the beginning of a text means, `msgspec.UNSET` while it means none.

    Never raises.
    """
    repair = Repair()
    repair.feed(text)
    return repair.value


class Repair:
    """A JSON text that grows."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._base = 0  # where in the whole text the one begins that the states are given
        self._begin = 0  # what is before it is a fence
        self._sure = 0  # what is before it means something, if closed by these:
        self._closers: list[str] = []
        self._in_value_string = False
        self._rest = ""  # the beginning of an escape
        self._token: list[str] = []  # of a number
        self._literal = ""  # what is still to come of it
        self._value: Any = msgspec.UNSET
        self._changed = False
        self._ended = False
        self._state: Callable[[str, int], int] = self._start

    @property
    def value(self) -> Any:
        """What the text means so far, `msgspec.UNSET` while it means nothing. Don't change it."""
        if self._changed:
            self._value, self._changed = self._read(), False
        return self._value

    def feed(self, piece: str) -> bool:
        """Take the next piece, and say whether the value may be another now."""
        if self._ended:
            return False
        self._pieces.append(piece)
        changed_before, self._changed = self._changed, False
        text, self._rest = self._rest + piece, ""
        place = 0
        while place < len(text) and not self._rest:
            place = self._state(text, place)
        self._base += place
        changed = self._changed
        self._changed |= changed_before
        return changed

    def _read(self) -> Any:
        text = "".join(self._pieces)
        self._pieces = [text]
        if not self._sure:  # the whole text is a number, and as far as it is one, it means that
            number = _NUMBER.match("".join(self._token))
            return read_json(number[0]) if number and _is_number(number[0]) else msgspec.UNSET
        quote = '"' if self._in_value_string else ""
        closers = "".join(reversed(self._closers))
        return read_json(text[self._begin : self._sure] + quote + closers)

    # Each state looks at the text from a place on, and returns how far it came.

    def _start(self, text: str, place: int) -> int:
        place = _past_space(text, place)
        if text.startswith("`", place):
            self._state = self._fence
        elif place < len(text):
            self._begin_value(place)
        return place

    def _fence(self, text: str, place: int) -> int:
        if match := _END_OF_FENCE.search(text, place):
            self._begin_value(match.start())
            return match.start()
        return len(text)

    def _begin_value(self, place: int) -> None:
        self._begin = self._base + place
        self._state = self._before_value

    def _before_value(self, text: str, place: int) -> int:
        place = _past_space(text, place)
        match text[place : place + 1]:
            case "":
                return place
            case "{" | "[" as bracket:
                if len(self._closers) == _MAX_DEPTH:
                    return self._stop(text)
                self._closers.append("}" if bracket == "{" else "]")
                self._state = self._first_key if bracket == "{" else self._first_item
            case '"':
                self._in_value_string = True
                self._state = self._string
            case "t" | "f" | "n" as letter:
                self._literal = _LITERALS[letter]
                self._state = self._in_literal
                return place
            case char if char in "-0123456789":
                self._token.clear()
                self._state = self._in_number
                return place
            case _:
                return self._stop(text)
        return self._mean(place + 1)

    def _first_item(self, text: str, place: int) -> int:
        place = _past_space(text, place)
        if place < len(text):
            self._state = self._after_value if text[place] == "]" else self._before_value
        return place

    def _first_key(self, text: str, place: int) -> int:
        place = _past_space(text, place)
        if place < len(text):
            self._state = self._after_value if text[place] == "}" else self._before_key
        return place

    def _before_key(self, text: str, place: int) -> int:
        return self._take('"', self._string, text, place)

    def _before_colon(self, text: str, place: int) -> int:
        return self._take(":", self._before_value, text, place)

    def _take(self, char: str, then: Callable[[str, int], int], text: str, place: int) -> int:
        place = _past_space(text, place)
        if place == len(text):
            return place
        if text[place] != char:
            return self._stop(text)
        self._state = then
        return place + 1

    def _string(self, text: str, place: int) -> int:
        if end := _PLAIN.match(text, place):
            return self._grow(end.end())
        if text[place] == '"':
            if self._in_value_string:
                if self._sure < self._base + place:  # half a pair was held back
                    self._changed = True
                self._sure = self._base + place + 1
            self._state = self._after_value if self._in_value_string else self._before_colon
            self._in_value_string = False
            return place + 1
        if escape := _ESCAPE.match(text, place):
            half = _HIGH_HALF.match(escape[0])
            return escape.end() if half else self._grow(escape.end())
        if _ESCAPE_SO_FAR.fullmatch(text, place):
            self._rest = text[place:]
            return place
        return self._stop(text)

    def _grow(self, place: int) -> int:
        return self._mean(place) if self._in_value_string else place

    def _in_literal(self, text: str, place: int) -> int:
        come = text[place : place + len(self._literal)]
        if not self._literal.startswith(come):
            return self._stop(text)
        self._literal = self._literal[len(come) :]
        if self._literal:
            return len(text)
        self._state = self._after_value
        return self._mean(place + len(come))

    def _in_number(self, text: str, place: int) -> int:
        digits = _OF_NUMBERS.match(text, place)
        end = digits.end() if digits else place
        self._token.append(text[place:end])
        self._changed |= not self._sure
        if end == len(text):
            return end
        if not _is_number("".join(self._token)):
            return self._stop(text)
        self._state = self._after_value
        return self._mean(end)

    def _after_value(self, text: str, place: int) -> int:
        place = _past_space(text, place)
        if place == len(text):
            return place
        closer = self._closers[-1] if self._closers else ""
        if text[place] == ",":
            self._state = self._before_key if closer == "}" else self._before_value
        if not closer or text[place] not in (",", closer):
            return self._stop(text)
        if text[place] == closer:
            self._closers.pop()
            self._sure = self._base + place + 1
        return place + 1

    def _stop(self, text: str) -> int:
        """Nothing that follows means anything."""
        self._ended = True
        return len(text)

    def _mean(self, place: int) -> int:
        """The text means more up to here."""
        self._sure = self._base + place
        self._changed = True
        return place


def _past_space(text: str, place: int) -> int:
    space = _SPACE.match(text, place)
    return space.end() if space else place


def _is_number(text: str) -> bool:
    """Whether a token is a number that can be held."""
    try:
        read_json(text)
    except ValueError:
        return False
    return True
