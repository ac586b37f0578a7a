"""How a store's keys are called in Valkey.

A run belongs to one of 16 partitions, by its id. All keys of a run and of its partition share the
hash tag ``{pN}``: in a cluster they are in one slot, so that one script can touch them. A key of
idempotency belongs to the partition of its own hash, which may be another. A thread belongs to one
by its digest, and takes only runs that belong to the same.
"""

import hashlib
import re
import zlib
from collections.abc import Sequence
from typing import Final

import attrs

PARTITIONS: Final = 16

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@attrs.frozen
class Partition:
    """The keys that the runs of a partition share."""

    tag: str

    @property
    def index(self) -> str:
        """A sorted set of all runs by their time of creation."""
        return f"{self.tag}:index"

    @property
    def holds(self) -> str:
        """A sorted set of the active runs by when they are due, unless `leases` has them.

        That is the end of their lease, or of their sleep.
        """
        return f"{self.tag}:holds"

    @property
    def leases(self) -> str:
        """The same of runs that servers of former versions hold, which look nowhere else."""
        return f"{self.tag}:leases"

    @property
    def finished(self) -> str:
        """A sorted set of the finished runs by their time of finishing."""
        return f"{self.tag}:finished"

    @property
    def sizes(self) -> str:
        """A hash of the finished runs' sizes in bytes; the empty field has their sum."""
        return f"{self.tag}:sizes"

    @property
    def owned(self) -> str:
        """A sorted set of the finished runs that somebody owns, by owner and time."""
        return f"{self.tag}:owned"

    @property
    def shares(self) -> str:
        """A sorted set of their owners, by the bytes that each has here."""
        return f"{self.tag}:shares"

    @property
    def counted(self) -> Sequence[str]:
        """The four that finished runs are in."""
        return [self.finished, self.sizes, self.owned, self.shares]

    @property
    def idle(self) -> Sequence[str]:
        """Of threads in which no run is active, what `counted` are of runs."""
        return [
            f"{self.tag}:{kind}" for kind in ("idle", "idle_sizes", "idle_owned", "idle_shares")
        ]

    @property
    def nothing(self) -> str:
        """What never is there."""
        return f"{self.tag}:nothing"

    @property
    def news(self) -> str:
        """The control stream."""
        return f"{self.tag}:news"

    def owner(self, owner: str) -> str:
        """A sorted set like `index`, of one owner's runs."""
        return f"{self.tag}:owner:{digest_of(owner)}"

    def deleted(self, token: str) -> str:
        """Name a list of what was removed with a thread, to be told again for a while."""
        return f"{self.tag}:deleted:{token}"

    def threads(self, owner: str | None) -> str:
        """A sorted set of one owner's threads (None: nobody's), by when they were touched."""
        return f"{self.tag}:threads:{'-' if owner is None else digest_of(owner)}"


@attrs.frozen
class ThreadKeys:
    """The keys of one thread."""

    digest: str
    partition: Partition

    def _key(self, kind: str) -> str:
        return f"{self.partition.tag}:{kind}:{self.digest}"

    @property
    def thread(self) -> str:
        """A hash of what is known of the thread, and of its turns."""
        return self._key("thread")

    @property
    def runs(self) -> str:
        """A sorted set like `index`, of the thread's runs."""
        return self._key("threaded")

    @property
    def leaving(self) -> str:
        """The same of runs that are to be removed, for their thread was."""
        return self._key("leaving")


@attrs.frozen
class RunKeys:
    """The keys of one run."""

    run_id: str
    partition: Partition

    def _key(self, kind: str) -> str:
        return f"{self.partition.tag}:{kind}:{self.run_id}"

    @property
    def run(self) -> str:
        """A hash of what is known of the run."""
        return self._key("run")

    @property
    def draft(self) -> str:
        """The same while the run is being created; it ends by itself."""
        return self._key("draft")

    @property
    def refused(self) -> str:
        """Why a draft may not become the run, for as long as it would have lived."""
        return self._key("refused")

    @property
    def log(self) -> str:
        """A stream of entries, whose ids are their offsets."""
        return self._key("log")

    @property
    def viewers(self) -> str:
        """A hash of the viewers by worker."""
        return self._key("viewers")

    def staged(self, digest: str) -> str:
        """Name a hash of what a turn with this digest has beyond a piece; it ends by itself."""
        return self._key("staged") + f":{digest}"

    @property
    def turn(self) -> str:
        """The same of the turn that the run has added to its thread."""
        return self._key("turn")

    @property
    def gone(self) -> str:
        """What is left of a removed run for a while."""
        return self._key("gone")


class Keys:
    """All keys with one prefix.

    Raises:
        ValueError: the prefix is empty, too long, or has special characters.
    """

    def __init__(self, prefix: str) -> None:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError("a prefix is up to 64 letters, digits, and _ . : -")
        self.partitions = [Partition(f"{prefix}:{{p{n}}}") for n in range(PARTITIONS)]

    def _partition(self, text: str) -> Partition:
        return self.partitions[zlib.crc32(text.encode()) % PARTITIONS]

    def of_run(self, run_id: str) -> RunKeys:
        """Name the keys of a run."""
        return RunKeys(run_id, self._partition(run_id))

    def of_thread(self, owner: str | None, thread: str) -> ThreadKeys:
        """Name the keys of a thread."""
        return self.of_digest(_digest_of_owned(owner, thread))

    def of_digest(self, digest: str) -> ThreadKeys:
        """Name the keys of the thread that is known by this digest."""
        return ThreadKeys(digest, self._partition(digest))

    def idempotency(self, owner: str | None, key: str) -> str:
        """Name the key that says which run has this idempotency key."""
        digest = _digest_of_owned(owner, key)
        return f"{self._partition(digest).tag}:key:{digest}"


def _digest_of_owned(owner: str | None, text: str) -> str:
    # The length keeps ("a", "bc") and ("ab", "c") apart, and None from every owner.
    return digest_of("-" + text if owner is None else f"{len(owner)}:{owner}{text}")


def digest_of(text: str) -> str:
    """Return what stands for a text in keys, of one length and without special characters."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
