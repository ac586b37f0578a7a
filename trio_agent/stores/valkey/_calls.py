"""A store's acts as calls of scripts."""

import secrets
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import msgspec

from ..._limits import Retention
from ..._log.log import Append
from ..._log.run_info import RunRecord
from ..._log.store import PAGE_BYTES, Lease
from ._beside import fill, private_fields
from ._keys import Keys, RunKeys
from ._replies import UNREADABLE
from ._script import Call
from ._scripts import (
    APPEND,
    CHECK,
    CLAIM,
    DRAFT,
    FORGET,
    INFO,
    KEEP,
    LIST,
    ORPHANS,
    PROPOSE,
    READ,
    READ_AT_ONCE,
    RELEASE,
    REMOVABLE,
    REMOVE,
    RENEW,
    RENEW_EPOCH,
    REQUEST_CANCEL,
    REVEAL,
    SET_VIEWERS,
    SURVEY,
)

_DRAFT: Final = "60000"
"""Milliseconds that a draft lives."""

_PROPOSAL: Final = "300000"
"""Milliseconds that a proposal lives that nobody keeps: longer than its draft."""

_TOMBSTONE: Final = "3600000"
"""Milliseconds that a removed run is known."""

_SURVEYED: Final = 100
"""Finished runs of each partition that are looked at in one go."""

_TOKEN_LENGTH: Final = 16

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
        }
        arguments = [token, _DRAFT, *chain.from_iterable(fields.items())]
        first = Call(DRAFT, [keys.draft, keys.run], arguments)
        return [first, *fill(keys, token, _DRAFT, record.blobs)]

    def reveal(self, run_id: str, owner: str | None) -> Call:
        """Make a draft the run."""
        keys = self._keys.of_run(run_id)
        shared = keys.partition
        own = [keys.draft, keys.run, keys.gone]
        return Call(
            REVEAL,
            [*own, shared.index, shared.leases, *_owners(keys, owner)],
            [run_id, self._lease],
        )

    def propose(self, key: str, stale: bytes | None, proposal: bytes) -> Call:
        """Take an idempotency key that nobody has, or only the stale proposal."""
        return Call(PROPOSE, [key], [stale or b"", proposal, _PROPOSAL])

    def keep_key(self, key: str, proposal: bytes) -> Call:
        """Let a proposal live for as long as its run."""
        return Call(KEEP, [key], [proposal])

    def append(self, append: Append) -> Call:
        """Append to a log."""
        keys = self._keys.of_run(append.run_id)
        shared = keys.partition
        closing = [shared.leases, shared.finished, shared.sizes] if append.terminal else []
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
        return Call(
            INFO,
            [keys.run, keys.log, keys.partition.leases, keys.viewers, keys.gone],
            [run_id],
        )

    def list(self, owner: str | None, bound: bytes, limit: int) -> Sequence[Call]:
        """List members of all indexes from a bound on."""
        return [
            Call(LIST, [each.index if owner is None else each.owner(owner)], [bound, str(limit)])
            for each in self._keys.partitions
        ]

    def check(self) -> Sequence[Call]:
        """See in all partitions whether something could be written."""
        return [Call(CHECK, [each.nothing]) for each in self._keys.partitions]

    def claim(self, run_id: str) -> Call:
        """Claim a run."""
        keys = self._keys.of_run(run_id)
        return Call(
            CLAIM,
            [keys.run, keys.log, keys.partition.leases, keys.gone, keys.partition.news],
            [run_id, new_token(), self._lease],
        )

    def renew(self, lease: Lease) -> Call:
        """Renew a lease."""
        keys = self._keys.of_run(lease.run_id)
        arguments = [lease.run_id, str(lease.fence), self._lease]
        return Call(RENEW, [keys.run, keys.partition.leases], arguments)

    def release(self, lease: Lease) -> Call:
        """End a lease."""
        keys = self._keys.of_run(lease.run_id)
        shared = keys.partition
        arguments = [lease.run_id, str(lease.fence)]
        return Call(RELEASE, [keys.run, shared.leases, shared.news], arguments)

    def renew_epoch(self, lease: Lease, epoch: str) -> Call:
        """Give a log a new epoch."""
        keys = self._keys.of_run(lease.run_id)
        arguments = [lease.run_id, str(lease.fence), epoch]
        return Call(RENEW_EPOCH, [keys.run, keys.log, keys.partition.news], arguments)

    def orphans(self, limit: int) -> Sequence[Call]:
        """List active runs without a lease in all partitions."""
        return [Call(ORPHANS, [each.leases], [str(limit)]) for each in self._keys.partitions]

    def request_cancel(self, run_id: str, reason: str) -> Call:
        """Ask for a cancel."""
        keys = self._keys.of_run(run_id)
        return Call(REQUEST_CANCEL, [keys.run, keys.gone, keys.partition.news], [run_id, reason])

    def set_viewers(self, run_id: str, worker: str, count: int) -> Call:
        """Tell how many viewers a worker has."""
        keys = self._keys.of_run(run_id)
        return Call(
            SET_VIEWERS,
            [keys.run, keys.viewers, keys.gone, keys.partition.news],
            [run_id, worker, str(count), self._lease],
        )

    def survey(self) -> Sequence[Call]:
        """Look at the finished runs of all partitions."""
        return [
            Call(SURVEY, [each.finished, each.sizes], [str(_SURVEYED)])
            for each in self._keys.partitions
        ]

    def removable(self, run_id: str) -> Call:
        """Ask what must be known to remove a run: its record, its idempotency key's key."""
        keys = self._keys.of_run(run_id)
        shared = keys.partition
        return Call(REMOVABLE, [keys.run, keys.gone, shared.finished, shared.sizes], [run_id])

    def forget(self, run_id: str, key: str) -> Call:
        """Give the proposal of a run an end."""
        return Call(FORGET, [key], [run_id, str(_TOKEN_LENGTH), _TOMBSTONE])

    def remove(self, run_id: str, record: bytes) -> Call:
        """Remove a finished run."""
        keys = self._keys.of_run(run_id)
        shared = keys.partition
        own = [keys.run, keys.log, keys.viewers, keys.gone]
        owners = _owners(keys, _owner_of(record))
        return Call(
            REMOVE,
            [*own, shared.index, shared.finished, shared.sizes, shared.news, *owners],
            [run_id, new_token(), _TOMBSTONE],
        )


def _owner_of(record: bytes) -> str | None:
    try:
        return msgspec.json.decode(record, type=_Owned).owner
    except UNREADABLE:
        return None  # Then one list has a run that is gone, which harms nobody.


def _owners(keys: RunKeys, owner: str | None) -> Sequence[str]:
    return [] if owner is None else [keys.partition.owner(owner)]


def new_token() -> str:
    """Name one attempt to do something."""
    return secrets.token_hex(_TOKEN_LENGTH // 2)


def run_of_proposal(proposal: bytes) -> str:
    """Return the run that is proposed."""
    return proposal[_TOKEN_LENGTH + 1 :].decode()


def member_of(record: RunRecord) -> bytes:
    """Return a run's place in the indexes, which are in the order of bytes."""
    return f"{record.created_at:016}:{record.run_id}".encode()


def run_of_member(member: bytes) -> str:
    """Return the run at a place in an index."""
    return member.partition(b":")[2].decode()


def choose(surveys: Sequence[Any], retention: Retention) -> tuple[list[str], bool]:
    """Choose what to remove after a survey, and tell whether to survey again then."""
    count = sum(survey[0] for survey in surveys)
    size = sum(int(survey[1]) for survey in surveys)
    # Partitions are looked at one after another; which run is older must not depend on that.
    latest = max(survey[3] for survey in surveys)
    runs = [
        (latest - survey[3] + age, run_id, int(bytes_))
        for survey in surveys
        for run_id, age, bytes_ in survey[2]
    ]
    # Behind a full page there is more, perhaps older than what other partitions still have.
    full = [
        latest - survey[3] + survey[2][-1][1] for survey in surveys if len(survey[2]) == _SURVEYED
    ]
    youngest = max(full, default=0)
    chosen: list[str] = []
    for age, run_id, bytes_ in sorted(runs, key=lambda run: (-run[0], run[1])):
        if age < youngest:
            return chosen, True
        if retention.keeps(0, now=age / 1000, runs=count, size=size):
            return chosen, False
        chosen.append(run_id.decode())
        count -= 1
        size -= bytes_
    return chosen, bool(full)
