"""What may lie in a run's inbox: answers to calls that wait, and messages.

Each becomes exactly one event, in the order of the inbox, so that the log says how many were taken.
"""

from typing import Any, Final, TypeAlias

import msgspec

from .._content import Content
from .._log.plain import encode_json


class Answer(msgspec.Struct, frozen=True, tag="answer", omit_defaults=True):
    """What somebody says to a call that waits."""

    call_id: str
    approved: bool
    output: Any = msgspec.UNSET
    """The JSON result, of a call that wants one."""
    by: str | None = None
    reason: str | None = None
    expired: bool = False
    """Whether nobody did in time; whoever works on the run says so."""

    @property
    def key(self) -> str:
        """What it is delivered under: a call has one answer."""
        return f"answer:{self.call_id}"


class Said(msgspec.Struct, frozen=True, tag="said", omit_defaults=True):
    """What somebody tells the run while it is under way."""

    content: Content
    by: str | None = None


Item: TypeAlias = Answer | Said

encode_item: Final = encode_json
decode_item: Final = msgspec.json.Decoder(Answer | Said).decode
