"""Reasoning that stands as `<think>…</think>` in the text.

For servers that don't part the two. Tags may be split over deltas: what may be the begin of the
awaited tag is held back until it is clear. White space behind a tag belongs to it. A `<think>`
that is never closed holds reasoning to the end.

Templates that open it in the prompt (Qwen's, DeepSeek's) leave only `</think>` in the answer. In a
stream it comes too late to tell, so that one has to say so; a `<think>` at the begin is passed
over then.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from .._parts import ModelPart, OutputPart, ReasoningPart, TextPart

TagsSetting: TypeAlias = bool | Literal["opened"]

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkTags:
    """Turns the tagged pieces of the text into reasoning.

    Args:
        opened: whether the text begins as reasoning.
        text: the parts that are the text.
    """

    def __init__(
        self, *, opened: bool = False, text: type[TextPart | OutputPart] = TextPart
    ) -> None:
        self._kind = text
        self._thinks = self._after_tag = self._may_open_again = opened
        self._held = ""

    def feed(self, parts: Iterable[ModelPart]) -> Iterator[ModelPart]:
        """Give the parts on without tags."""
        for part in parts:
            if isinstance(part, self._kind):
                yield from self._text(part.delta)
            else:
                yield part

    def flush(self) -> Iterator[ModelPart]:
        """Give on what was held back: it did not become a tag."""
        yield from self._part(self._held)
        self._held = ""

    def _text(self, delta: str) -> Iterator[ModelPart]:
        text = self._held + delta
        if self._may_open_again:
            text = text.lstrip()
            if _OPEN.startswith(text) and text != _OPEN:
                self._held = text
                return
            self._may_open_again = False
            text = text.removeprefix(_OPEN)
        while True:
            before, tag, after = text.partition(_CLOSE if self._thinks else _OPEN)
            if not tag:
                break
            yield from self._part(before)
            self._thinks = not self._thinks
            self._after_tag = True
            text = after
        held = self._begun_tag(text)
        yield from self._part(text[: len(text) - held])
        self._held = text[len(text) - held :]

    def _begun_tag(self, text: str) -> int:
        """How many characters at the end may be the begin of the awaited tag."""
        tag = _CLOSE if self._thinks else _OPEN
        return next((n for n in range(len(tag) - 1, 0, -1) if text.endswith(tag[:n])), 0)

    def _part(self, text: str) -> Iterator[ModelPart]:
        if self._after_tag:
            text = text.lstrip()
        if text:
            self._after_tag = False
            yield ReasoningPart(text) if self._thinks else self._kind(text)
