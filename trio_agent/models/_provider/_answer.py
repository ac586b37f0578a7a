"""One answer of a provider as it comes, and its deadlines.

The rules. What a body is, its beginning tells: providers send streams as `application/json`, and
errors as streams. A deadline moves on with every token, and none runs while the run waits for its
store. And nobody waits for what nobody needs: once the model said why it finished, the rest has
two seconds to come.
"""

import math
from collections.abc import Mapping
from typing import Final, Literal

import trio

from ..._errors import ModelError
from ..._http.before_waiting import BeforeWaiting
from ..._http.silence import later
from .._model import Emit
from ._codec import Decoder
from ._nesting import Nesting

MAX_ERROR: Final = 1 << 16
"""Bytes of a response that is an error; the rest is not read."""
ERROR_SECONDS: Final = 5.0

_MAX_WHOLE: Final = 16 << 20
_REST_SECONDS: Final = 2.0
_REUSE_SECONDS: Final = 1.0
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"


class Answer:
    """Takes a response. `scope` stands around the exchange; its deadline is the next token's.

    Args:
        decoder: what decodes the answer.
        emit: what takes its parts.
        scope: whose deadline is the first token's, already.
        first_token: seconds.
        between_tokens: seconds.
        keep_alive_counts: whether all that comes moves the deadline, as a token does.
    """

    def __init__(
        self,
        decoder: Decoder,
        emit: Emit,
        scope: trio.CancelScope,
        *,
        first_token: float,
        between_tokens: float,
        keep_alive_counts: bool = False,
    ) -> None:
        self.decoder = decoder
        self.scope = scope
        self.kind: Literal["stream", "whole", "refusal"] | None = None
        """A stream of events, one JSON value, or an error (or a page); None if nothing tells."""
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = bytearray()
        """What is no stream."""
        self._emit = emit
        self._first_token = first_token
        self._between_tokens = between_tokens
        self._keep_alive_counts = keep_alive_counts
        self._finished = False
        self._nesting: Nesting | None = Nesting()
        """Where one is in what is no stream, until its first value has ended."""
        self._left: float | None = None
        """Seconds to the deadline, while the run waits for its store."""

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head."""
        self.status, self.headers = status, headers
        if not 200 <= status < 300:
            self._refuse()

    def feed(self, data: bytes) -> bool:
        """Take what came in one read; False if `room` is needed before more."""
        if self.kind != "stream" and not (data := self._begin_stream(data)):
            return True
        if self.decoder.done:
            return True
        parts = self.decoder.feed(data)
        has_room = self._emit.nowait(*parts) if parts else True
        if self.decoder.done:
            # A connection is used again only if its response was read to the end.
            self._end_within(_REUSE_SECONDS if self.decoder.complete else 0)
        elif self.decoder.complete and not self.decoder.goes_on:
            if parts or not self._finished:
                self._finished = True
                self._end_within(_REST_SECONDS)  # the usage comes behind the finish
        elif parts:
            self._expect_within(self._between_tokens)
        elif self._keep_alive_counts:
            self._stay_alive()
        return has_room

    async def room(self) -> None:
        """Wait while the run waits for its store; the deadlines don't run meanwhile."""
        await BeforeWaiting(self._emit.room(), self._pause)
        if self._left is not None:
            self.scope.deadline = trio.current_time() + self._left
            self._left = None

    async def end(self) -> None:
        """Hand out what a stream left behind, or what did not come as one.

        Raises:
            ModelError: `bad-response`: it is no stream and too large.
        """
        if self.kind != "whole":
            parts = self.decoder.feed_eof()
        elif len(self.body) <= _MAX_WHOLE:
            parts = self.decoder.feed_whole(bytes(self.body))
        else:
            raise ModelError("bad-response", f"the answer is larger than {_MAX_WHOLE} bytes")
        if parts:
            await self._emit(*parts)

    def _begin_stream(self, data: bytes) -> bytes:
        """Collect what is no stream, and return the beginning of one."""
        if self.kind is None:
            data = data.lstrip(_BLANK)
            match data[:1]:
                case b"":
                    if self._keep_alive_counts:
                        self._stay_alive()
                case b"<":
                    self._refuse()
                case b"{" | b"[":
                    self.kind = "whole"
                case _:
                    self.kind = "stream"
                    return data
        self.body += data
        if self.kind == "whole" and self._nesting is not None:
            self._follow_whole(data, self._nesting)
        if len(self.body) > (MAX_ERROR if self.kind == "refusal" else _MAX_WHOLE):
            self.scope.cancel(reason="the provider says too much")
        return b""

    def _follow_whole(self, data: bytes, nesting: Nesting) -> None:
        """Wait no longer for the end of a connection than for that of what was asked for."""
        nesting.feed(data.decode("latin-1"))
        if nesting.is_closed:
            self._nesting = None
            if not self.decoder.may_go_on(self.body):
                self._end_within(_REST_SECONDS)

    def _refuse(self) -> None:
        self.kind = "refusal"
        self._end_within(ERROR_SECONDS)

    def _pause(self) -> None:
        if self._left is None:
            self._left = self.scope.deadline - trio.current_time()
            self.scope.deadline = math.inf

    def _stay_alive(self) -> None:
        self._expect_within(self._between_tokens if self.decoder.started else self._first_token)

    def _expect_within(self, seconds: float) -> None:
        if later(self.scope.deadline, seconds) is not None:
            self._end_within(seconds * 1.1)

    def _end_within(self, seconds: float) -> None:
        if self._left is None:
            self.scope.deadline = trio.current_time() + seconds
        else:  # What came in the read before is handed on while we wait for room.
            self._left = seconds
