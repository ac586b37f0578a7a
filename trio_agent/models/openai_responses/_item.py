"""One item of an answer: what was said of it, and what is still to be said.

The rule: each piece is said once. What came as deltas stands; of what comes whole behind them
(`…done` events, the whole item, the whole response) only the rest is said, if it goes on with what
was said before, and all of it if nothing was.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

from ..._errors import ModelError
from .._provider._arguments import Arguments
from .._provider._loose import arguments_or_none, items, text_or_none, word

Kind: TypeAlias = Literal["message", "reasoning", "function_call", "other"]
Stream: TypeAlias = Literal["message", "summary", "thought"]
"""What of an item is written piece by piece: its text, or one of two kinds of reasoning."""

STREAMS: Final[Mapping[Stream, Kind]] = {
    "message": "message",
    "summary": "reasoning",
    "thought": "reasoning",
}
"""The kind of item that has a stream."""

_MAX_PARTS: Final = 1024
"""Of one item."""

_KINDS: Final[Mapping[str, Kind]] = {
    "message": "message",
    "reasoning": "reasoning",
    "function_call": "function_call",
}


def kind_of(value: dict[str, Any]) -> Kind:
    """Return what an item is."""
    return _KINDS.get(str(value.get("type")), "other")


def id_of(value: dict[str, Any]) -> str:
    """Return the id of an item, blank if it has none."""
    return (word(value.get("id")) or "").strip()


def call_id_of(value: dict[str, Any]) -> str:
    """Return the id of a call, blank if it has none."""
    return (word(value.get("call_id")) or "").strip()


@attrs.define(eq=False)
class Item:
    """An item that is being written.

    Args:
        kind: what it is.
        id: as the provider calls it, blank if it doesn't.
        index: its place, as the provider says it.
    """

    kind: Kind
    id: str = ""
    index: int | None = None
    announced: bool = False
    """Whether its begin was told, rather than found out by a delta."""
    closed: bool = False
    value: dict[str, Any] | None = None
    """The item itself, once it came whole."""
    call_id: str = ""
    name: str = ""
    announced_arguments: str = ""
    """Those that its begin had: some send them again as deltas, others don't."""
    part_id: str = ""
    """As its call is given on, blank until then."""
    arguments: Arguments = attrs.field(factory=Arguments)
    _said: dict[tuple[Stream, int | None], list[str]] = attrs.field(factory=dict)

    def said(self, stream: Stream) -> str:
        """Return all that was said of a stream."""
        return "".join(self._of_part(key) for key in self._said if key[0] == stream)

    def begins(self, stream: Stream, part: int | None) -> bool:
        """Whether nothing was said of a part of a stream yet."""
        return (stream, part) not in self._said

    def say(self, stream: Stream, part: int | None, text: str) -> None:
        """Remember what was said.

        Raises:
            ModelError: `bad-response`: there are too many parts.
        """
        if len(self._said) == _MAX_PARTS and self.begins(stream, part):
            raise ModelError("bad-response", f"an item has more than {_MAX_PARTS} parts")
        self._said.setdefault((stream, part), []).append(text)

    def _of_part(self, key: tuple[Stream, int | None]) -> str:
        pieces = self._said[key]
        pieces[:] = ["".join(pieces)]  # so that who asks often has it put together once
        return pieces[0]

    def rest_of_part(self, stream: Stream, part: int | None, whole: str) -> str:
        """Return what of a part that comes whole is still to be said."""
        if not self.begins(stream, part):
            return _rest(whole, self._of_part((stream, part)))
        said = self.said(stream)
        # Its deltas may have come under another number.
        if said and (whole in said or part is None):
            return ""
        return _rest(whole, said) if whole.startswith(said) else whole

    def rest(self, stream: Stream, value: dict[str, Any]) -> Iterator[tuple[int, str]]:
        """Return what of an item that comes whole is still to be said, by its parts."""
        texts = list(texts_of(stream, value))
        said = self.said(stream)
        if not "".join(texts).startswith(said):
            return
        skipped = len(said)
        for part, text in enumerate(texts):
            if rest := text[skipped:]:
                yield part, rest
            skipped = max(0, skipped - len(text))

    def fits(self, value: dict[str, Any]) -> bool:
        """Whether an item that comes whole may be this one, by what was said of it."""
        if self.kind == "function_call":
            whole = arguments_or_none(value.get("arguments")) or ""
            same_name = not self.name or self.name == word(value.get("name"))
            return same_name and (not whole or whole.startswith(self.arguments.text))
        wholes: list[tuple[Stream, str]] = [
            (stream, "".join(texts_of(stream, value)))
            for stream, kind in STREAMS.items()
            if kind == self.kind
        ]
        return not any(whole for _, whole in wholes) or all(
            whole.startswith(self.said(stream)) for stream, whole in wholes
        )


def texts_of(stream: Stream, value: dict[str, Any]) -> Iterator[str]:
    """Return the texts of the parts of an item, or of one part in the place of an item."""
    for part in items(value.get("summary" if stream == "summary" else "content")):
        yield text_of_part(part)


def text_of_part(part: Any) -> str:
    """Return the text, the refusal or the reasoning that a part holds."""
    return text_or_none(part) or ""


def is_refusal(part: Any) -> bool:
    """Whether a part says that the model refuses."""
    return isinstance(part, Mapping) and part.get("type") == "refusal"


def _rest(whole: str, said: str) -> str:
    return whole[len(said) :] if whole.startswith(said) else ""
