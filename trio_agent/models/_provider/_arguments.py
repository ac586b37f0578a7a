"""The arguments of one tool call, as their JSON text comes in.

Whether the text is a whole object is only asked where the next fragment may begin another call.
"""

import re

import msgspec

from ..._log.plain import read_json
from ._nesting import Nesting

_PLACEHOLDER = re.compile(r"\s*(\{\s*\}|null)\s*")


class Arguments:
    """What a model wrote for one call.

    Some proxies begin every call with `{}` (or `null`) and send the real arguments after it.
    Nothing of this placeholder is given on until it is clear that it was meant.
    """

    def __init__(self) -> None:
        self._fragments: list[str] = []
        self._length = 0
        self._placeholder = False
        self._seen = 0
        self._nesting = Nesting()
        self._form: tuple[int, bytes | None] | None = None

    @property
    def text(self) -> str:
        """All that was given on."""
        return "".join(self._fragments)

    @property
    def is_empty(self) -> bool:
        """Whether the model wrote nothing yet."""
        return not self._fragments and not self._placeholder

    @property
    def is_placeholder(self) -> bool:
        """Whether it wrote `{}` only, and may have meant nothing."""
        return self._placeholder

    def add(self, text: str) -> str:
        """Take a fragment and return what of it can be given on now."""
        if not self._fragments:
            if not text or text.isspace():
                return ""
            self._placeholder = is_placeholder(text)
            if self._placeholder:
                return ""
        self._fragments.append(text)
        self._length += len(text)
        return text

    def end(self) -> str:
        """Nothing more comes: return what was held back."""
        if not self._placeholder:
            return ""
        self._placeholder = False
        self._fragments.append("{}")
        self._length += 2
        return "{}"

    def is_closed(self) -> bool:
        """Whether they are an object that is closed, so that what follows can't belong to it."""
        if self._placeholder:
            return True
        self._nesting.feed("".join(self._fragments[self._seen :]))
        self._seen = len(self._fragments)
        begun = bool(self._fragments) and self._fragments[0].lstrip()[:1] == "{"
        return begun and self._nesting.is_closed

    def repeats(self, text: str) -> bool:
        """Whether a fragment says the whole arguments again, however it is spaced."""
        if not self.is_closed():
            return False
        if len(text) == self._length and text == self.text:
            return True
        form = _form(text)
        return form is not None and form == self._own_form()

    def _own_form(self) -> bytes | None:
        if self._placeholder:
            return b"{}"
        # Read once, though a call be repeated without end: what comes behind a whole object makes
        # it none.
        count = len(self._fragments)
        if self._form is None:
            self._form = count, _form(self.text)
        elif not "".join(self._fragments[self._form[0] :]).strip():
            self._form = count, self._form[1]
        else:
            self._form = count, None
        return self._form[1]

    def is_json(self) -> bool:
        """Whether they can be parsed. A tool without parameters may get nothing at all."""
        try:
            read_json(self.text or "{}")
        except (ValueError, RecursionError):
            return False
        return True


def _form(text: str) -> bytes | None:
    """What is the same for all texts of the same JSON value, None if it is no JSON."""
    try:
        return msgspec.json.encode(read_json(text), order="deterministic")
    except (ValueError, RecursionError):
        return None


def is_placeholder(text: str) -> bool:
    """Whether a fragment is one that may mean nothing."""
    return _PLACEHOLDER.fullmatch(text) is not None
