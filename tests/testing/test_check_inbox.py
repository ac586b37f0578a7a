"""The kit finds stores whose inboxes are otherwise than they should be."""

from collections.abc import Sequence

import attrs
import pytest
import trio
import trio.testing
from store_kit import check_broken

from trio_agent._errors import LimitExceeded, UnknownRun
from trio_agent._log.inbox import Delivered, Delivery, check_inbox
from trio_agent._log.log import Append, Appended
from trio_agent._log.run_info import RunInfo
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing._check_inbox import INBOX_CHECKS


class TakesAllAgain(MemoryStore):
    """Looks at no key."""

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        if not self._get(run_id).log.closed:
            key = f"{key}{len(self._runs[run_id].inbox)}"
        return await super().deliver(run_id, key, data)


class DeliversAgain(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        known = self._get(run_id).inbox.get(key)
        if known is not None and known.data == data:
            await super().deliver(run_id, f"{key} again {trio.current_time()}", data)
        return await super().deliver(run_id, key, data)


class RefusesTheSame(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        known = key in self._get(run_id).inbox
        outcome = await super().deliver(run_id, key, data)
        return Delivered.TAKEN if known else outcome


class LastWins(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await super().deliver(run_id, key, data)
        if outcome is Delivered.TAKEN:
            inbox = self._runs[run_id].inbox
            inbox[key] = attrs.evolve(inbox[key], data=data)
        return Delivered.DELIVERED


class LastIsKept(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await super().deliver(run_id, key, data)
        if outcome is Delivered.TAKEN:
            inbox = self._runs[run_id].inbox
            inbox[key] = attrs.evolve(inbox[key], data=data)
        return outcome


class LooksAndThenWrites(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        known = self._get(run_id).inbox.get(key)
        if known is None:
            await trio.lowlevel.checkpoint()
            outcome = await super().deliver(run_id, key, data)
            return Delivered.DELIVERED if outcome is Delivered.TAKEN else outcome
        return await super().deliver(run_id, key, data)


class CountsAndThenWrites(MemoryStore):
    """Gives one number to two."""

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        number = len(self._get(run_id).inbox) + 1
        await trio.lowlevel.checkpoint()
        outcome = await super().deliver(run_id, key, data)
        inbox = self._runs[run_id].inbox
        if key in inbox and inbox[key].number == len(inbox):
            inbox[key] = attrs.evolve(inbox[key], number=number)
        return outcome


class LosesOfMany(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        if key == "alone3":
            return Delivered.DELIVERED
        return await super().deliver(run_id, key, data)


class TellsNoLosers(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await super().deliver(run_id, key, data)
        if key == "race" and outcome is Delivered.TAKEN:
            return Delivered.CLOSED
        return outcome


class CountsFromZero(MemoryStore):
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        found = await super().inbox(run_id, after, limit)
        return [attrs.evolve(each, number=each.number - 1) for each in found]


class NewestFirst(MemoryStore):
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        found = await super().inbox(run_id, after, limit)
        return [
            Delivery(there.number, here.key, here.data)
            for there, here in zip(found, reversed(found), strict=True)
        ]


class OneForAll(MemoryStore):
    """An inbox that all runs share."""

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        run = self._get(run_id)
        run.inbox = next(iter(self._runs.values())).inbox
        return await super().deliver(run_id, key, data)


class ReadsAnother(MemoryStore):
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        self._get(run_id)
        return await super().inbox(next(iter(self._runs)), after, limit)


class TellsNoNumber(MemoryStore):
    async def info(self, run_id: str) -> RunInfo:
        return attrs.evolve(await super().info(run_id), delivered=0)


class ListsNoNumber(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        found = await super().find(owner, before, limit, thread)
        return [attrs.evolve(info, delivered=0) for info in found]


class CountsNoBytes(MemoryStore):
    async def info(self, run_id: str) -> RunInfo:
        info = await super().info(run_id)
        return attrs.evolve(info, size=info.size - self._get(run_id).inbox_size)


class TakesTheRun(MemoryStore):
    """Frees a run that something was delivered to, held or not."""

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await super().deliver(run_id, key, data)
        self._runs[run_id].leased_until = 0.0
        return outcome


class TakesIntoClosed(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await super().deliver(run_id, key, data)
        return Delivered.DELIVERED if outcome is Delivered.CLOSED else outcome


class KeepsForClosed(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await super().deliver(run_id, key, data)
        if outcome is Delivered.CLOSED:
            inbox = self._runs[run_id].inbox
            inbox[key] = Delivery(len(inbox) + 1, key, data)
        return outcome


class EmptiesAtTheEnd(MemoryStore):
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        found = await super().inbox(run_id, after, limit)
        return [] if self._runs[run_id].log.closed else found


class EmptiesWhatIsRead(MemoryStore):
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        found = await super().inbox(run_id, after, limit)
        if found:
            self._runs[run_id].inbox.clear()
        return found


class NoLimit(MemoryStore):
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        return await super().inbox(run_id, after, 1000)


class FromTheFirst(MemoryStore):
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        found = await super().inbox(run_id, 0, limit)
        return found if after < len(self._get(run_id).inbox) else []


class NoPages(MemoryStore):
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        return list(self._get(run_id).inbox.values())[after : after + limit]


class NothingBig(MemoryStore):
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        found = await super().inbox(run_id, after, limit)
        return [each for each in found if len(each.data) < 1 << 20]


class CutsWhatIsBig(MemoryStore):
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        found = await super().inbox(run_id, after, limit)
        return [attrs.evolve(each, data=each.data[: 1 << 20]) for each in found]


class CountsNoSize(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        self._get(run_id).inbox_size = 0
        return await super().deliver(run_id, key, data)


class CountsNoItems(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        run = self._get(run_id)
        try:
            return await super().deliver(run_id, key, data)
        except LimitExceeded:
            check_inbox(0, run.inbox_size, data)
            return Delivered.DELIVERED


class CountsWhatIsTooMuch(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        try:
            return await super().deliver(run_id, key, data)
        except LimitExceeded:
            inbox = self._runs[run_id].inbox
            inbox[key] = Delivery(len(inbox) + 1, key, data)
            raise


class NeedsRoomAgain(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        run = self._get(run_id)
        check_inbox(len(run.inbox), run.inbox_size, data)
        return await super().deliver(run_id, key, data)


class DeliversInSilence(MemoryStore):
    def _wake(self, run_id: str) -> None:
        if not self._runs[run_id].inbox:
            super()._wake(run_id)


class DeliversToNobody(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        if run_id not in self._runs:
            return Delivered.CLOSED
        return await super().deliver(run_id, key, data)


class NobodysInboxIsEmpty(MemoryStore):
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        return [] if run_id not in self._runs else await super().inbox(run_id, after, limit)


class HalfDelivers(MemoryStore):
    """Takes the key behind a checkpoint."""

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        known = self._get(run_id).inbox.get(key)
        outcome = await super().deliver(run_id, key, data)
        if known is None and run_id.startswith("cut"):
            inbox = self._runs[run_id].inbox
            half = f"half of {len(inbox)}"
            inbox[half] = inbox.pop(key)
            # For long enough that a cancel comes in between, in whatever order tasks run.
            for _ in range(10):
                await trio.lowlevel.checkpoint()
            inbox[key] = inbox.pop(half)
        return outcome


class WritesIntoTheLog(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await super().deliver(run_id, key, data)
        log = self._runs[run_id].log
        if log.entries and not log.closed:
            copy = type(log.entries[0])(log.tail + 1, log.entries[0].data, terminal=False)
            assert log.append(Append(run_id, log.fence, [copy])) is Appended.COMMITTED
            log.size -= len(copy.data)
        return outcome


BROKEN: dict[type[MemoryStore], str] = {
    TakesAllAgain: "in order, as they came",
    DeliversAgain: "not delivered again",
    RefusesTheSame: "the same again is a success",
    LastWins: "the first delivery wins",
    LastIsKept: "not delivered again",
    LooksAndThenWrites: "with one key, one wins",
    CountsAndThenWrites: "without a gap",
    LosesOfMany: "with other keys none is lost",
    TellsNoLosers: "told that the key is taken",
    CountsFromZero: "numbers from 1 on",
    NewestFirst: "in order, as they came",
    OneForAll: "what is new is delivered",
    ReadsAnother: "an inbox is of one run",
    TellsNoNumber: "`info` tells the number",
    ListsNoNumber: "lists tell what `info` tells",
    CountsNoBytes: "deliveries are counted",
    TakesTheRun: "leaves the run to its holder",
    TakesIntoClosed: "a closed log takes no more",
    KeepsForClosed: "a closed log takes no more",
    EmptiesAtTheEnd: "nothing is removed before",
    EmptiesWhatIsRead: "not delivered again|the same again is a success|`info` tells the number",
    NoLimit: "at most `limit`",
    FromTheFirst: "read behind a number",
    NoPages: "at most `PAGE_BYTES`",
    NothingBig: "are whole",
    CutsWhatIsBig: "are whole",
    CountsNoSize: "at most `INBOX_BYTES`",
    CountsNoItems: "at most `INBOX_ITEMS`",
    CountsWhatIsTooMuch: "what is too much is not taken",
    NeedsRoomAgain: "a run takes at most",
    DeliversInSilence: "a delivery is news",
    WritesIntoTheLog: "leaves the log alone",
}

BROKEN_ELSEWHERE: dict[type[MemoryStore], str] = {
    DeliversToNobody: "'a' was CursorExpired: CursorExpired was not raised",
    NobodysInboxIsEmpty: "'a' was CursorExpired: CursorExpired was not raised",
    HalfDelivers: "a delivery is whole",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_broken_store_is_found(
    broken: type[MemoryStore], autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises((AssertionError, LimitExceeded), match=BROKEN[broken]):
        await check_broken(broken, INBOX_CHECKS)


@pytest.mark.parametrize("broken", BROKEN_ELSEWHERE, ids=lambda broken: broken.__name__)
async def test_a_store_that_is_broken_for_nobody_or_by_a_cancel_is_found(
    broken: type[MemoryStore], autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises((AssertionError, UnknownRun), match=BROKEN_ELSEWHERE[broken]):
        await check_broken(broken)
