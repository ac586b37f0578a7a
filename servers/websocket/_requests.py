"""What a client says over a WebSocket: requests, read from text messages."""

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from .._shared.problem import Problem
from .._shared.start import Start
from .._shared.told import Answer, Message

MAX_MESSAGE: Final = 8 << 20
"""Bytes of a request, unless the server sets another bound; a larger one gets an error."""

RequestId: TypeAlias = Annotated[str, msgspec.Meta(max_length=128)] | int


class _Request(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    type: str
    run_id: str
    request_id: RequestId | None = None


class StartRequest(Start, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Start a run and follow it, unless `follow` is false."""

    type: Literal["start"] = "start"
    request_id: RequestId | None = None
    key: str | None = None
    """Its idempotency key: the same key gives the same run."""
    follow: bool = True


class SubscribeRequest(_Request, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Follow a run behind a cursor, by default from its start."""

    after: str | Literal[0] = 0


class UnsubscribeRequest(_Request, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Follow a run no longer. Who doesn't is no error: it may have just ended."""


class CancelRequest(_Request, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Cancel a run, and hear when it is gone."""


class AnswerRequest(Answer, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Answer a call of a run that waits."""

    type: str
    run_id: str
    request_id: RequestId | None = None


class SayRequest(Message, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Tell a run something while it is under way."""

    type: str
    run_id: str
    request_id: RequestId | None = None


Request: TypeAlias = (
    StartRequest
    | SubscribeRequest
    | UnsubscribeRequest
    | CancelRequest
    | AnswerRequest
    | SayRequest
)

_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "start": msgspec.json.Decoder(StartRequest),
    "subscribe": msgspec.json.Decoder(SubscribeRequest),
    "unsubscribe": msgspec.json.Decoder(UnsubscribeRequest),
    "cancel": msgspec.json.Decoder(CancelRequest),
    "answer": msgspec.json.Decoder(AnswerRequest),
    "say": msgspec.json.Decoder(SayRequest),
}


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    type: str = "start"
    request_id: RequestId | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


class BadRequest(Exception):
    """A message that is no request: what is wrong with it, and its `requestId` if it has one."""

    def __init__(self, problem: Problem, request_id: str | int | None = None) -> None:
        super().__init__(problem, request_id)
        self.problem = problem
        self.request_id = request_id


def read_request(message: str | bytes, max_bytes: int = MAX_MESSAGE) -> Request:
    """Read a request from a message.

    Raises:
        BadRequest: it is none.
    """
    if isinstance(message, bytes):
        raise BadRequest(Problem(400, "bad-request", "send JSON as text, not as a binary message"))
    text = message.encode()
    if len(text) > max_bytes:
        raise BadRequest(Problem(413, "too-large", f"a message has at most {max_bytes} bytes here"))
    request_id = None
    try:
        envelope = _decode_envelope(text)
        request_id = envelope.request_id
        decoder = _DECODERS.get(envelope.type)
        if decoder is None:
            known = ", ".join(_DECODERS)
            problem = Problem(400, "unknown-type", f"a request's type is one of {known}")
            raise BadRequest(problem, request_id)
        request: Request = decoder.decode(text)
        return request
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadRequest(Problem(400, "bad-request", str(exc)), request_id) from None
