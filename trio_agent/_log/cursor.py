"""A cursor says: "I have seen everything up to here"."""

import re
from typing import Final

import msgspec

from .._errors import CursorInvalid

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_TEXT: Final = re.compile(
    r"(?P<run>[A-Za-z0-9_-]{1,64})\.(?P<epoch>[A-Za-z0-9_-]{1,32})\.(?P<offset>0|[1-9][0-9]{0,15})",
    re.ASCII,
)


def valid_run_id(text: str) -> bool:
    """Whether the text can be the id of a run: 1 to 64 of ``A-Za-z0-9_-``."""
    return _ID.fullmatch(text) is not None


class Cursor(msgspec.Struct, frozen=True):
    """A position in the log of one run.

    Its text, `str(cursor)`, is ``{run}.{epoch}.{offset}``: at most 128 ASCII characters that
    need no quoting in a header or a URL. Treat it as opaque.
    """

    run_id: str
    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.run_id}.{self.epoch}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read a cursor back from its text.

        Raises:
            CursorInvalid: the text is no cursor.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise CursorInvalid("not a cursor: pass an event's id back as you got it")
        return cls(match["run"], match["epoch"], int(match["offset"]))
