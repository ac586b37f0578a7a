"""What tests of all decoders of answers share: however the stream is cut, it says the same."""

from collections.abc import Callable, Iterable

import attrs
import pytest

from trio_agent._errors import ModelError
from trio_agent.models._parts import ModelFinish, ModelPart
from trio_agent.models._provider._codec import Decoder


@attrs.frozen
class Decoding:
    """Ways to decode with what `make` makes of some options."""

    make: Callable[..., Decoder]

    def run(self, reads: Iterable[bytes], **options: object) -> tuple[list[ModelPart], ModelFinish]:
        """Decode these reads."""
        decoder = self.make(**options)
        parts = [part for read in reads for part in decoder.feed(read)]
        parts += decoder.feed_eof()
        assert decoder.feed_eof() == []
        return parts, decoder.finish()

    def run_every_way(self, data: bytes, **options: object) -> tuple[list[ModelPart], ModelFinish]:
        """Decode whole and byte by byte, which must say the same."""
        whole = self.run([data], **options)
        assert self.run((data[i : i + 1] for i in range(len(data))), **options) == whole
        return whole

    def failure(self, data: bytes, **options: object) -> tuple[list[ModelPart], ModelError]:
        """Decode, whole and in small pieces, what must fail; the parts before must be the same."""

        def decode(size: int) -> tuple[list[ModelPart], ModelError]:
            decoder = self.make(**options)
            parts = [p for i in range(0, len(data), size) for p in decoder.feed(data[i : i + size])]
            parts += decoder.feed_eof()
            with pytest.raises(ModelError) as info:
                decoder.finish()
            return parts, info.value

        parts, error = decode(len(data) or 1)
        slow_parts, slow_error = decode(1 if len(data) < 10_000 else 9_999)
        assert slow_parts == parts
        assert (slow_error.args, slow_error.retryable) == (error.args, error.retryable)
        return parts, error
