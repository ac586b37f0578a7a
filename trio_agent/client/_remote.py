"""What a client gets from a server, whatever the wire."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import attrs
import msgspec

from .._events import AnyEvent, ErrorDetail, Usage
from .._log.codec import decode_event
from .._run.listed import RunPage
from .._run.message_page import MessagePage
from .._run.run import Receipt
from .._run.thread_page import Thread, ThreadPage, TurnPage
from ._refusal import ServerError

MAX_EVENT: Final = 16 << 20
"""Bytes of one event, or of one message; a larger one is not received."""


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
            TransportError, Passing: the connection broke, or was ended.
            ServerError: what came can't be understood.
        """


class Wire(ABC):
    """One way to talk to a server. What is not abstract is for those over which it can be asked.

    All methods are checkpoints. They raise `Passing`, or what `Client` says that they raise.
    """

    @abstractmethod
    async def start(self, wishes: Mapping[str, Any], key: str) -> str:
        """Start a run and return its id."""

    @abstractmethod
    async def cancel(self, run_id: str) -> Receipt | None:
        """Cancel a run and return the receipt, if it is gone soon enough."""

    @abstractmethod
    async def answer(self, run_id: str, said: Mapping[str, Any]) -> "Told":
        """Answer a call that waits."""

    @abstractmethod
    async def say(self, run_id: str, said: Mapping[str, Any], key: str) -> "Told":
        """Tell a run something."""

    @abstractmethod
    async def check(self) -> None:
        """Raise why the server can't start runs now, if it can't."""

    @abstractmethod
    def events(self, run_id: str, after: str) -> AbstractAsyncContextManager[EventSource]:
        """Connect to the events of a run behind a cursor."""

    async def info(self, run_id: str) -> dict[str, Any]:
        """Return what the server tells of a run."""
        raise _not_supported(f"run {run_id!r}")

    async def ended(self, run_id: str) -> "Ended":
        """Return what came of a run."""
        raise _not_supported(f"run {run_id!r}")

    async def messages(self, run_id: str, after: int, max_bytes: int) -> tuple[MessagePage, int]:
        """Return a page of what was said in a run, and its size in bytes."""
        raise _not_supported(f"what was said in {run_id!r} behind {after}, {max_bytes} bytes")

    async def runs(self, before: str | None, limit: int, thread: str | None) -> RunPage:
        """Return a page of the list of runs."""
        raise _not_supported(f"{limit} runs before {before!r} of {thread!r}")

    async def delete(self, run_id: str) -> None:
        """Remove a finished run."""
        raise _not_supported(f"the removal of {run_id!r}")

    async def blob(self, run_id: str, digest: str) -> bytes:
        """Return a file that was given to a run."""
        raise _not_supported(f"{run_id}/{digest}")

    async def thread(self, thread: str) -> Thread:
        """Return what the server tells of a thread."""
        raise _not_supported(f"the thread {thread!r}")

    async def threads(self, before: str | None, limit: int) -> ThreadPage:
        """Return a page of the list of threads."""
        raise _not_supported(f"{limit} threads before {before!r}")

    async def thread_messages(self, thread: str, last: str | None, max_bytes: int) -> TurnPage:
        """Return a page of what was said in a thread."""
        raise _not_supported(f"what was said in {thread!r} up to {last!r}, {max_bytes} bytes")

    async def delete_thread(self, thread: str) -> None:
        """Remove a thread."""
        raise _not_supported(f"the removal of the thread {thread!r}")


def _not_supported(what: str) -> ServerError:
    return ServerError(0, "not-supported", f"ask for {what} over HTTP")


class Cancelled(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a cancel."""

    outcome: str | None = None
    last_offset: int = 0
    abandoned: tuple[str, ...] = ()

    @property
    def receipt(self) -> Receipt | None:
        """The receipt; None if the run is not gone yet."""
        if self.outcome is None:
            return None
        return Receipt(self.outcome, self.last_offset, self.abandoned)


class Told(msgspec.Struct, frozen=True):
    """The answer to what a run was told."""

    pending: bool = False
    """Whether it is kept, and not in the log yet: who asks again waits on."""


class Ended(msgspec.Struct, frozen=True, rename="camel"):
    """What the server tells of how a run went."""

    status: str
    text: str = ""
    output: Any = msgspec.UNSET
    steps: int = 0
    reason: str | None = None
    usage: Usage = Usage()
    error: ErrorDetail | None = None
