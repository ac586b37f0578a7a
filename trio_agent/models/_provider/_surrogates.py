"""Halves of UTF-16 surrogate pairs, put together again.

Servers that cut their text by UTF-16 units send the two halves of a pair in two deltas. A high
half at the end of a delta is held back until its low half comes; one without the other becomes
U+FFFD. Text without halves passes as it is.
"""

from collections.abc import Iterable, Iterator

import msgspec

from .._parts import ModelPart, ToolInputPart


class SurrogateJoiner:
    """Joins the halves in each stream of parts: the text, the reasoning, the input of each call."""

    def __init__(self) -> None:
        self._held: dict[object, tuple[ModelPart, str]] = {}

    def feed(self, parts: Iterable[ModelPart]) -> Iterator[ModelPart]:
        """Give the parts on without halves."""
        for part in parts:
            stream = part.id if isinstance(part, ToolInputPart) else type(part)
            _, half = self._held.pop(stream, (part, ""))
            text = half + part.delta
            if text and "\ud800" <= text[-1] <= "\udbff":
                self._held[stream] = part, text[-1]
                text = text[:-1]
            # Encoding joins what stands side by side; decoding replaces what stands alone.
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            if text or not part.delta:
                yield msgspec.structs.replace(part, delta=text)

    def flush(self) -> Iterator[ModelPart]:
        """Give on what was held back: its other half didn't come."""
        for part, _ in self._held.values():
            yield msgspec.structs.replace(part, delta="\ufffd")
        self._held.clear()
