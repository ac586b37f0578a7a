"""What a store knows of a run beside its log."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import msgspec

from .._errors import KeyReused
from .fitting import first_fitting
from .log import Entry


@attrs.frozen
class RunRecord:
    """A run as it is created.

    `private` and `blobs` are stored beside the log, with its first commit, and never on a wire.
    What a store tells of a run comes without them: `Store.read_private` and `Store.read_blob` do.
    """

    run_id: str
    epoch: str
    agent: str
    created_at: int
    """Unix time in milliseconds."""
    owner: str | None = None
    """The principal whose run it is; None where nobody is asked."""
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    idempotency_key: str | None = None
    """Unique per owner: a second creation with the same key finds the first run."""
    private: bytes = attrs.field(default=b"", repr=False)
    """JSON of what is needed to understand or continue the run later."""
    blobs: Mapping[str, bytes] = attrs.field(factory=dict, repr=False)
    """Files that were given to it, by their SHA-256 in hexadecimal digits."""
    thread: str | None = None
    """The thread of its owner that it is a part of, if it is one."""
    follows: str | None = None
    """The run whose turn comes before it in that thread; None: it begins anew."""
    head: str | None = None
    """The thread's head, as whoever starts it has seen it. It is compared, and not kept."""
    digest: str = ""
    """A hash of what was asked for, so that a key is not used for something else; "" if none."""

    @property
    def size(self) -> int:
        """Bytes of what is kept beside the log: `private`, `blobs`, the JSON of `metadata`."""
        files = sum(map(len, self.blobs.values()))
        return len(self.private) + files + len(msgspec.json.encode(self.metadata))

    def in_thread(self, owner: str | None, thread: str) -> bool:
        """Whether it is a part of this thread of this owner."""
        return (self.owner, self.thread) == (owner, thread)

    def told(self) -> "RunRecord":
        """Return it as stores tell it, without what is private."""
        return attrs.evolve(self, private=b"", blobs={}, head=None)

    def check_repeats(self, digest: str) -> None:
        """Make sure that this asks for what the run that has its idempotency key asked for.

        Nothing is compared where one of the two has no digest.

        Args:
            digest: that run's.

        Raises:
            KeyReused: it asks for something else.
        """
        if digest and self.digest and digest != self.digest:
            raise KeyReused("this idempotency key belongs to another request: take a new one")


@attrs.frozen
class RunInfo:
    """A run as the store knows it now."""

    record: RunRecord
    tail: int
    """The offset of the last committed event, 0 if there is none."""
    size: int
    """Bytes of the log and of what is private beside it, of its inbox, and of what was given with
    it at first (`RunRecord.size`)."""
    last: Entry | None
    """The terminal event, None while the run is active."""
    fence: int
    """The number of the newest claim; one more when the run was put to sleep since."""
    leased: bool
    """Whether a worker holds the run."""
    cancel_reason: str | None
    """Why somebody wants it cancelled, None if nobody does."""
    viewers: int
    """How many subscriptions follow it, over all processes."""
    parked: bool = False
    """Whether it sleeps (`Store.park`), and is not due."""
    delivered: int = 0
    """The number of the newest delivery in its inbox."""
    torn: bool = False
    """Whether the end of its log may be lost, so that nobody can go on with it."""

    @property
    def active(self) -> bool:
        """Whether there is more to come."""
        return self.last is None

    @property
    def listed_size(self) -> int:
        """Bytes of it that count in a list: of the record, and of the terminal event."""
        return self.record.size + (0 if self.last is None else len(self.last.data))


def first_runs(infos: Iterable[RunInfo], limit: int) -> list[RunInfo]:
    """Return the first of these, as many as `Store.find` lists at once."""
    return first_fitting(infos, lambda info: info.listed_size, limit)
