"""A store's acts as calls of scripts."""

from collections.abc import Sequence
from itertools import chain
from typing import Final

import msgspec

from ..._log.log import Append
from ..._log.run_info import RunRecord
from ..._log.store import PAGE_BYTES, Lease
from ._beside import fill, private_fields
from ._keys import Keys, RunKeys, digest_of
from ._replies import UNREADABLE
from ._script import Call
from ._scripts import (
    APPEND,
    CHECK,
    DRAFT,
    FORGET,
    INFO,
    KEEP,
    LIST,
    PROPOSE,
    READ,
    READ_AT_ONCE,
    REMOVABLE,
    REMOVE,
    RENEW_EPOCH,
    REQUEST_CANCEL,
    REVEAL,
    SET_VIEWERS,
    SURVEY,
)
from ._token import TOKEN_LENGTH, new_token

DRAFT_TTL: Final = "60000"
"""Milliseconds that a draft lives."""

_PROPOSAL: Final = "300000"
"""Milliseconds that a proposal lives that nobody keeps: longer than its draft."""

TOMBSTONE_TTL: Final = "3600000"
"""Milliseconds that a removed run is known, and its proposal: longer than one that nobody keeps."""

_PUBLIC: Final = ("agent", "created_at", "owner", "metadata", "idempotency_key")
"""What of a record never changes and is not private."""


class _Owned(msgspec.Struct):
    owner: str | None = None


class Calls:
    """Makes calls.

    Args:
        keys: what the keys are called.
        lease: seconds that a claim holds.
    """

    def __init__(self, keys: Keys, *, lease: float) -> None:
        self._keys = keys
        self._lease = str(round(lease * 1000))

    def draft(self, record: RunRecord, token: str, key: str = "") -> Sequence[Call]:
        """Draft a run, by one call after the other; its hash is described with the scripts."""
        keys = self._keys.of_run(record.run_id)
        public = {name: getattr(record, name) for name in _PUBLIC}
        fields: dict[str, str | bytes] = {
            "record": msgspec.json.encode(public),
            "private": record.private,
            "epoch": record.epoch,
            "member": member_of(record),
            "key": key,
            "digest": record.digest,
            "fence": "1",
            "tail": "0",
            "size": str(record.size),
            "closed": "0",
            "handed_over": "0",
        }
        if record.owner is not None:
            fields["owner"] = digest_of(record.owner)
        if record.thread is not None:
            fields["thread"] = self._keys.of_thread(record.owner, record.thread).digest
            fields["thread_name"] = record.thread
            fields["head"] = record.head or ""
            if record.follows is not None:
                fields["follows"] = record.follows
        arguments = [token, DRAFT_TTL, *chain.from_iterable(fields.items())]
        first = Call(DRAFT, [keys.draft, keys.run, keys.refused], arguments)
        return [first, *fill(keys, token, DRAFT_TTL, record.blobs)]

    def reveal(self, run_id: str, owner: str | None) -> Call:
        """Make a draft the run."""
        keys = self._keys.of_run(run_id)
        shared = keys.partition
        own = [keys.draft, keys.run, keys.gone, keys.refused]
        return Call(
            REVEAL,
            [*own, shared.index, shared.holds, shared.leases, *_owners(keys, owner)],
            [run_id, DRAFT_TTL, self._lease],
        )

    def propose(self, key: str, stale: bytes | None, proposal: bytes) -> Call:
        """Take an idempotency key that nobody has, or only the stale proposal."""
        return Call(PROPOSE, [key], [stale or b"", proposal, _PROPOSAL])

    def keep_key(self, key: str, proposal: bytes) -> Call:
        """Let a proposal live for as long as its run."""
        return Call(KEEP, [key], [proposal, _PROPOSAL])

    def append(self, append: Append, staged: str | None = None) -> Call:
        """Append to a log; what a turn has beyond a piece is staged at a key (`_turns`)."""
        keys = self._keys.of_run(append.run_id)
        shared = keys.partition
        closing: list[str] = []
        turn: list[bytes] = []
        if append.terminal:
            closing = [shared.holds, shared.leases, *shared.counted]
            turn = [append.turn[:PAGE_BYTES]]
            if staged is not None:
                closing.append(staged)
        return Call(
            APPEND,
            [keys.run, keys.log, shared.news, *closing],
            [
                append.run_id,
                str(append.fence),
                str(append.first_offset),
                str(int(append.terminal)),
                str(append.last_offset),
                *[entry.data for entry in append.entries],
                *private_fields(append.private),
                *turn,
            ],
        )

    def read(self, run_id: str, after: int, limit: int) -> Call:
        """Read a page."""
        keys = self._keys.of_run(run_id)
        bounds = [str(limit), str(READ_AT_ONCE), str(PAGE_BYTES)]
        return Call(READ, [keys.run, keys.log, keys.gone], [str(after), *bounds])

    def info(self, run_id: str) -> Call:
        """Ask what is known of a run."""
        keys = self._keys.of_run(run_id)
        shared = keys.partition
        names = [keys.run, keys.log, shared.holds, shared.leases, keys.viewers, keys.gone]
        return Call(INFO, names, [run_id])

    def list(
        self, owner: str | None, bound: bytes, limit: int, thread: str | None = None
    ) -> Sequence[Call]:
        """List members of all indexes from a bound on, or of that of one thread."""
        if thread is not None:
            indexes = [self._keys.of_thread(owner, thread).runs]
        elif owner is not None:
            indexes = [each.owner(owner) for each in self._keys.partitions]
        else:
            indexes = [each.index for each in self._keys.partitions]
        return [Call(LIST, [index], [bound, str(limit)]) for index in indexes]

    def check(self) -> Sequence[Call]:
        """See in all partitions whether something could be written."""
        return [Call(CHECK, [each.nothing]) for each in self._keys.partitions]

    def renew_epoch(self, lease: Lease, epoch: str) -> Call:
        """Give a log a new epoch."""
        keys = self._keys.of_run(lease.run_id)
        arguments = [lease.run_id, str(lease.fence), epoch]
        return Call(RENEW_EPOCH, [keys.run, keys.log, keys.partition.news], arguments)

    def request_cancel(self, run_id: str, reason: str) -> Call:
        """Ask for a cancel."""
        keys = self._keys.of_run(run_id)
        shared = keys.partition
        names = [keys.run, shared.holds, keys.gone, shared.news]
        return Call(REQUEST_CANCEL, names, [run_id, reason])

    def set_viewers(self, run_id: str, worker: str, count: int) -> Call:
        """Tell how many viewers a worker has."""
        keys = self._keys.of_run(run_id)
        return Call(
            SET_VIEWERS,
            [keys.run, keys.viewers, keys.gone, keys.partition.news],
            [run_id, worker, str(count), self._lease],
        )

    def survey(self, count: int) -> Sequence[Call]:
        """Look at the oldest finished runs and idle threads, so many of each partition."""
        return [
            Call(SURVEY, [each.finished, each.sizes, *each.idle[:2]], [str(count)])
            for each in self._keys.partitions
        ]

    def removable(self, run_id: str) -> Call:
        """Ask what must be known to remove a run: its record, its idempotency key's key."""
        keys = self._keys.of_run(run_id)
        shared = keys.partition
        return Call(REMOVABLE, [keys.run, keys.gone, shared.finished, shared.sizes], [run_id])

    def forget(self, run_id: str, key: str) -> Call:
        """Give the proposal of a run an end."""
        return Call(FORGET, [key], [run_id, str(TOKEN_LENGTH), TOMBSTONE_TTL])

    def remove(self, run_id: str, record: bytes) -> Call:
        """Remove a finished run."""
        keys = self._keys.of_run(run_id)
        shared = keys.partition
        own = [keys.run, keys.log, keys.viewers, keys.gone]
        owners = _owners(keys, _owner_of(record))
        return Call(
            REMOVE,
            [*own, shared.index, *shared.counted, shared.news, *owners],
            [run_id, new_token(), TOMBSTONE_TTL],
        )


def _owner_of(record: bytes) -> str | None:
    try:
        return msgspec.json.decode(record, type=_Owned).owner
    except UNREADABLE:
        return None  # Then one list has a run that is gone, which harms nobody.


def _owners(keys: RunKeys, owner: str | None) -> Sequence[str]:
    return [] if owner is None else [keys.partition.owner(owner)]


def run_of_proposal(proposal: bytes) -> str:
    """Return the run that is proposed."""
    return proposal[TOKEN_LENGTH + 1 :].decode()


def member_of(record: RunRecord) -> bytes:
    """Return a run's place in the indexes, which are in the order of bytes."""
    return f"{record.created_at:016}:{record.run_id}".encode()


def run_of_member(member: bytes) -> str:
    """Return the run at a place in an index."""
    return member.partition(b":")[2].decode()
