"""Where people put what they tell a run: answers to calls that wait, and messages.

What was taken is in the log: who has put something in waits for its event there, wherever the run
is worked on. If the run ends before, nothing was taken.
"""

import secrets
from collections.abc import Callable
from typing import Any, Final

import attrs
import msgspec

from .._errors import AnswerRefused, RunOver
from .._events import AnyEvent, RunError, RunFinish, ToolAnswered, ToolAsked, UserSaid
from .._log.feed import Feed
from .._log.inbox import Delivered
from .._log.log import Entry
from .._log.store import Store
from .items import Answer, Item, Said, encode_item

_PAGE: Final = 1024
_TELLING: Final = tuple(
    f'{{"type":"{name}"'.encode()
    for name in ("tool-request", "tool-answer", "user-message", "run-finish", "error")
)


@attrs.define
class _Reading:
    """What of a log is to be known: all else in it is not decoded."""

    tail: int = 0
    asked: dict[str, ToolAsked] = attrs.field(factory=dict)
    answered: set[str] = attrs.field(factory=set)
    taken: int = 0
    over: bool = False

    def add(self, entry: Entry) -> None:
        self.tail = entry.offset
        event: AnyEvent | None = None
        if entry.terminal or entry.data.startswith(_TELLING):
            event = entry.event
        match event:
            case ToolAsked(tool=call):
                self.asked[call.id] = event
            case ToolAnswered(tool=tool):
                self.answered.add(tool.id)
                self.taken += 1
            case UserSaid():
                self.taken += 1
            case RunFinish() | RunError():
                self.over = True


class Postbox:
    """That of a store.

    Args:
        store: where the inboxes are.
        wake: is told which run has got something.
    """

    def __init__(self, store: Store, wake: Callable[[str], None]) -> None:
        self._store = store
        self._wake = wake

    async def answer(self, feed: Feed, answer: Answer, shown: Any = msgspec.UNSET) -> None:
        """Answer a call, and wait until that is in the log. A checkpoint.

        Args:
            feed: of the run.
            answer: what to say.
            shown: the arguments of the call as they were shown to who answers, if that is known.

        Raises:
            AnswerRefused: no such call waits, it was answered already, or its arguments are others.
            RunOver: the run has ended.
            ValueError: the call wants an approval and gets an output, or the other way round.
            LimitExceeded: the inbox is full.
            UnknownRun, CursorExpired: there is no such run, or no more.
            StoreUnavailable: the store can't take it now.
        """
        reading = _Reading()
        await self._read_on(feed.run_id, reading)
        asked = reading.asked.get(answer.call_id)
        if reading.over and answer.call_id not in reading.answered:
            raise RunOver(feed.run_id)
        if asked is None:
            raise AnswerRefused(f"no call {answer.call_id!r} waits for an answer")
        if shown is not msgspec.UNSET and shown != asked.tool.input:
            raise AnswerRefused("the call has other arguments than those that were answered to")
        if asked.kind == "approval" and answer.output is not msgspec.UNSET:
            raise ValueError("this call waits for an approval: its output comes from its tool")
        if asked.kind != "approval" and answer.approved and answer.output is msgspec.UNSET:
            raise ValueError("this call waits for its output: give one, or deny it")
        await self._put(feed, answer.key, answer)
        await self._until(feed, reading, lambda: answer.call_id in reading.answered)

    async def say(self, feed: Feed, said: Said, key: str | None) -> None:
        """Tell a run something, and wait until that is in the log. A checkpoint.

        Args:
            feed: of the run.
            said: what to say.
            key: of idempotency: with the same one, the same is said once.

        Raises:
            RunOver: the run has ended.
            AnswerRefused: something else was said with this key.
            LimitExceeded: the inbox is full.
            UnknownRun, CursorExpired: there is no such run, or no more.
            StoreUnavailable: the store can't take it now.
        """
        key = f"said:{secrets.token_hex(16) if key is None else key}"
        await self._put(feed, key, said)
        number = await self._number_of(feed.run_id, key)
        reading = _Reading()
        await self._until(feed, reading, lambda: reading.taken >= number)

    async def _put(self, feed: Feed, key: str, item: Item) -> None:
        match await self._store.deliver(feed.run_id, key, encode_item(item)):
            case Delivered.CLOSED:
                raise RunOver(feed.run_id)
            case Delivered.TAKEN if isinstance(item, Answer):
                raise AnswerRefused(f"the call {item.call_id!r} was answered already")
            case Delivered.TAKEN:
                raise AnswerRefused("something else was said with this key: take a new one")
        self._wake(feed.run_id)

    async def _number_of(self, run_id: str, key: str) -> int:
        number = 0
        while deliveries := await self._store.inbox(run_id, number, _PAGE):
            for delivery in deliveries:
                number = delivery.number
                if delivery.key == key:
                    return number
        raise AssertionError("nothing is removed from an inbox")

    async def _until(self, feed: Feed, reading: _Reading, done: Callable[[], bool]) -> None:
        with feed.hold():
            while True:
                await self._read_on(feed.run_id, reading)
                if done():
                    return
                if reading.over:
                    raise RunOver(feed.run_id)
                if feed.failure is not None:
                    raise feed.failure
                if feed.tail <= reading.tail:
                    await feed.changed()

    async def _read_on(self, run_id: str, reading: _Reading) -> None:
        while entries := (await self._store.read(run_id, reading.tail, _PAGE)).entries:
            for entry in entries:
                reading.add(entry)
