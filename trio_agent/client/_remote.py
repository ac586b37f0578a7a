"""What a client gets from a server, whatever the wire."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import attrs
import msgspec

from .._errors import (
    CursorExpired,
    CursorInvalid,
    KeyReused,
    LimitExceeded,
    StoreUnavailable,
    TrioAgentError,
    UnknownRun,
)
from .._events import AnyEvent
from .._log.codec import decode_event
from .._run.run import Receipt, RunOutcome

_ERRORS: Final[Mapping[str, type[TrioAgentError]]] = {
    "cursor-invalid": CursorInvalid,
    "cursor-expired": CursorExpired,
    "key-reused": KeyReused,
    "limit-exceeded": LimitExceeded,
    "store-unavailable": StoreUnavailable,
}


class ServerError(TrioAgentError):
    """The server refused a request, or its answer can't be understood (`bad-response`).

    `status` is that of HTTP, 0 for what was said over a WebSocket; otherwise `code` and `message`
    are the server's.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@attrs.frozen
class RemoteEvent:
    """An event as it came: what it is, and where it stands."""

    cursor: str
    """Everything up to this event; subscribe after it to go on from here."""
    data: str
    """The event's JSON, the same on every connection."""
    event: AnyEvent | None
    """The event, None if it is of a type that this version doesn't know."""

    @property
    def terminal(self) -> bool:
        """Whether it is the last of its run."""
        return self.event is not None and self.event.terminal

    @classmethod
    def read(cls, cursor: str, data: str) -> "RemoteEvent":
        """Read an event's JSON.

        Raises:
            EventInvalid: it is none.
        """
        return cls(cursor, data, decode_event(data.encode()))


class EventSource(ABC):
    """The events of one run over one connection."""

    @abstractmethod
    async def receive(self) -> list[RemoteEvent]:
        """Return what came, perhaps only a sign of life. A checkpoint.

        Raises:
            trio.EndOfChannel: the server says that nothing follows.
            TransportError: the connection broke.
        """


class Wire(ABC):
    """One way to talk to a server. All methods are checkpoints."""

    @abstractmethod
    async def start(self, wishes: Mapping[str, Any], key: str | None) -> str:
        """Start a run and return its id."""

    @abstractmethod
    async def cancel(self, run_id: str) -> Receipt | None:
        """Cancel a run and return the receipt, if it is gone soon enough."""

    @abstractmethod
    async def info(self, run_id: str) -> dict[str, Any]:
        """Return what the server tells of a run."""

    @abstractmethod
    async def check(self) -> None:
        """Raise why the server can't start runs now, if it can't."""

    @abstractmethod
    def events(self, run_id: str, after: str) -> AbstractAsyncContextManager[EventSource]:
        """Connect to the events of a run behind a cursor."""


class Cancelled(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a cancel."""

    outcome: RunOutcome | None = None
    last_offset: int = 0
    abandoned: tuple[str, ...] = ()

    @property
    def receipt(self) -> Receipt | None:
        """The receipt; None if the run is not gone yet."""
        if self.outcome is None:
            return None
        return Receipt(self.outcome, self.last_offset, self.abandoned)


class ErrorBody(msgspec.Struct, frozen=True):
    """What an error says."""

    code: str = "http-error"
    message: str = "the server refused without saying why"


def error_of(status: int, error: ErrorBody, run_id: str, *, passing: bool) -> TrioAgentError:
    """Say what a server's error means; `passing` if trying again may help."""
    if passing:
        return _ERRORS.get(error.code, StoreUnavailable)(error.message)
    if error.code == "unknown-run":
        return UnknownRun(run_id)
    if error.code in _ERRORS:
        return _ERRORS[error.code](error.message)
    return ServerError(status, error.code, error.message)
