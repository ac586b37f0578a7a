"""Runs are created in Valkey, with a key of idempotency or without, in a thread or in none.

**Idempotency keys** live in another slot than the run, so that a creation takes several acts:

1. *Draft* the run, with its files. Nobody sees a draft, and it ends by itself.
2. *Propose* it for its key. The first proposal has the key. Who finds another's proposal reveals
   its draft (whoever does it, it is the same) and has found the run. If there is nothing to
   reveal, then that run was removed, or its creator was away for longer than a draft lives, or it
   was refused: the proposal is replaced, by compare and set. Each attempt has a new token, so that
   a proposal that was replaced never looks like the one that was looked at.
3. *Reveal* the draft. Whoever has found the run there, its creator or another, *keeps* the
   proposal for as long as the run.

A crash leaves a draft and a proposal that end by themselves; a proposal whose draft the next caller
with the key reveals; or a run whose key is free again in five minutes, unless somebody asks for it
before. Before a run is removed, its proposal is given an end, which who keeps it late leaves as it
is: from then on it either names a run that exists or is replaced.

**A thread is taken by who reveals the draft**, in the same act, and so by one. A draft that is
refused, because its thread is busy or has moved on, is gone with that, and whoever comes to reveal
it is told the same: its creator, who has not heard of it, or has lost the reply; another, who then
replaces the proposal by a draft with a newer view of the thread. So nobody begins later what was
refused, and nobody keeps its proposal. If another has replaced that meanwhile, the key has a run
perhaps: its creator looks again.
"""

from collections.abc import Sequence
from typing import Any

from ..._errors import LimitExceeded, ThreadBusy, ThreadMoved
from ..._log.run_info import RunRecord
from ..._log.store import Created, Lease
from ._calls import Calls, run_of_proposal
from ._client import ValkeyClient
from ._keys import Keys
from ._script import Call
from ._scripts import HOLDER
from ._token import new_token


async def create(client: ValkeyClient, calls: Calls, keys: Keys, record: RunRecord) -> Created:
    """See `Store.create`.

    Raises:
        ValueError: the id is of another partition than the thread.
    """
    if record.thread is not None:
        thread = keys.of_thread(record.owner, record.thread)
        if keys.of_run(record.run_id).partition != thread.partition:
            raise ValueError("no id of a run in this thread: take one of new_run_id(owner, thread)")
    if record.idempotency_key is not None:
        key = keys.idempotency(record.owner, record.idempotency_key)
        return await _create_once(client, calls, record, key)
    first, *files = calls.draft(record, new_token())
    reveal = calls.reveal(record.run_id, record.owner)
    if files:
        await _draft(client, record, [first, *files])
        revealed = await client.call(reveal)
    else:
        drafted, revealed = await client.call_all([first, reveal])
        _check_drafted(record, drafted)
    _check_begun(record, revealed)
    return Created(record.run_id, Lease(record.run_id, 1))


async def _create_once(client: ValkeyClient, calls: Calls, record: RunRecord, key: str) -> Created:
    holder: bytes | None = await client.call(Call(HOLDER, [key]))
    while True:
        if holder is not None:
            run_id = run_of_proposal(holder)
            known = await client.call(calls.reveal(run_id, record.owner))
            if isinstance(known, bytes):
                await client.call(calls.keep_key(key, holder))
                record.check_repeats(known.decode())
                return Created(run_id, None)
        token = new_token()
        await _draft(client, record, calls.draft(record, token, key))
        proposal = f"{token}:{record.run_id}".encode()
        holder = await client.call(calls.propose(key, holder, proposal))
        if holder == proposal:
            revealed = await client.call(calls.reveal(record.run_id, record.owner))
            if isinstance(revealed, bytes):
                await client.call(calls.keep_key(key, proposal))
                return Created(record.run_id, Lease(record.run_id, 1))
            if revealed is not None:
                holder = await client.call(Call(HOLDER, [key]))
                if holder == proposal:
                    _check_begun(record, revealed)


async def _draft(client: ValkeyClient, record: RunRecord, calls: Sequence[Call]) -> None:
    for call in calls:
        _check_drafted(record, await client.call(call))


def _check_drafted(record: RunRecord, drafted: bytes) -> None:
    if drafted == b"taken":
        raise LimitExceeded(f"the id {record.run_id!r} is taken")


def _check_begun(record: RunRecord, revealed: Any) -> None:
    if isinstance(revealed, list):
        assert record.thread is not None, "only threads refuse"
        why, by = revealed
        if why == b"busy":
            raise ThreadBusy(record.thread, by.decode())
        raise ThreadMoved(f"the thread {record.thread!r} has the head {by.decode()!r} now")
