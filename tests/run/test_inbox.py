"""The inbox of a run, as whoever works on the run reads it."""

from typing import Any

import pytest
import trio
import trio.testing
from store_kit import finish, record

from trio_agent._log.inbox import Delivered
from trio_agent._run.inbox import Inbox
from trio_agent._run.items import Answer, Said, encode_item
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore

EXPIRED = Answer("1", approved=False, expired=True, reason="nobody answered in time")


async def opened(*said: str, taken: int = 0) -> tuple[FaultyStore, Inbox]:
    store = FaultyStore(MemoryStore())
    await store.create(record("r"))
    for number, text in enumerate(said):
        await store.deliver("r", f"said:{number}", encode_item(Said(text)))
    return store, Inbox(store, "r", taken)


async def test_there_is_nothing_before_somebody_says_so() -> None:
    store, inbox = await opened("a")
    assert (inbox.unread, inbox.seen) == (False, 0)
    assert store.calls["inbox"] == 0
    inbox.tell(1)
    assert inbox.unread
    with trio.testing.assert_checkpoints():
        assert await inbox.read() == [Said("a")]
    assert (inbox.unread, inbox.seen) == (False, 1)


async def test_it_comes_in_its_order() -> None:
    store, inbox = await opened("a", "b")
    await store.deliver("r", "answer:1", encode_item(Answer("1", True, by="ann")))
    inbox.tell(3)
    assert await inbox.read() == [Said("a"), Said("b"), Answer("1", True, by="ann")]


async def test_what_was_taken_does_not_come_again() -> None:
    """Whoever goes on with the run begins behind it."""
    _, inbox = await opened("a", "b", "c", taken=2)
    inbox.tell(2)
    assert not inbox.unread
    inbox.tell(3)
    assert await inbox.read() == [Said("c")]


async def test_there_may_be_more_than_was_told() -> None:
    _, inbox = await opened("a", "b")
    inbox.tell(1)
    assert len(await inbox.read()) == 2
    inbox.tell(2)
    assert not inbox.unread


async def test_old_news_is_none() -> None:
    _, inbox = await opened("a", "b")
    inbox.tell(2)
    inbox.tell(1)
    await inbox.read()
    inbox.tell(1)
    assert not inbox.unread


async def test_there_may_be_less_than_was_told() -> None:
    """Else nobody who waits until all is read would ever be done."""
    _, inbox = await opened("a")
    inbox.tell(7)
    assert len(await inbox.read()) == 1
    assert inbox.unread
    assert await inbox.read() == []
    assert (inbox.unread, inbox.seen) == (False, 1)


async def test_it_is_read_a_page_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent._run.inbox._PAGE", 2)
    _, inbox = await opened(*"abcde")
    inbox.tell(5)
    pages = []
    while inbox.unread:
        pages.append(len(await inbox.read()))
    assert pages == [2, 2, 1]


async def test_who_waits_for_news_hears_of_them() -> None:
    _, inbox = await opened("a", "b")
    heard: list[int] = []

    async def listen() -> None:
        with trio.testing.assert_checkpoints():
            await inbox.changed()
        heard.append(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        nursery.start_soon(listen)
        await trio.testing.wait_all_tasks_blocked()
        inbox.tell(0)
        await trio.testing.wait_all_tasks_blocked()
        assert heard == []
        inbox.tell(1)
    assert heard == [1, 1]
    await listen()  # There is something still.
    await inbox.read()
    with trio.move_on_after(0) as scope:
        await listen()
    assert scope.cancelled_caught


async def test_a_store_that_is_away_is_asked_again(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store, inbox = await opened("a")
    inbox.tell(1)
    store.away.add("inbox")
    read: list[Any] = []

    async def listen() -> None:
        read.extend(await inbox.read())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await trio.sleep(3.5)
        assert (read, store.calls["inbox"]) == ([], 4)
        store.away.clear()
    assert read == [Said("a")]
    assert [each.getMessage() for each in caplog.records][:1] == [
        "the inbox of run r could not be read: the store is away"
    ]


async def test_reading_can_be_cancelled_while_the_store_is_away(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store, inbox = await opened("a")
    inbox.tell(1)
    store.away.add("inbox")
    with trio.move_on_after(5) as scope:
        await inbox.read()
    assert scope.cancelled_caught
    assert (inbox.unread, inbox.seen) == (True, 0)


class TestExpiry:
    """Whoever works on the run says that nobody has answered, in the way of an answer."""

    async def test_it_is_an_answer(self) -> None:
        _, inbox = await opened("a", taken=1)
        await inbox.expire("1")
        assert inbox.unread
        assert await inbox.read() == [EXPIRED]

    async def test_it_is_said_once(self) -> None:
        store, inbox = await opened()
        for _ in range(3):
            await inbox.expire("1")
        await inbox.read()
        await inbox.expire("1")
        assert await inbox.read() == []
        assert len(await store.inbox("r", 0, 9)) == 1

    async def test_an_answer_that_came_first_counts(self) -> None:
        store, inbox = await opened()
        answer = Answer("1", True)
        await store.deliver("r", answer.key, encode_item(answer))
        await inbox.expire("1")
        assert await inbox.read() == [answer]

    async def test_an_answer_that_comes_later_is_refused(self) -> None:
        store, inbox = await opened()
        await inbox.expire("1")
        answer = Answer("1", True)
        assert await store.deliver("r", answer.key, encode_item(answer)) is Delivered.TAKEN

    async def test_at_the_end_it_is_nothing(self) -> None:
        store, inbox = await opened()
        await store.append([finish("r", 1)])
        await inbox.expire("1")
        assert await inbox.read() == []
        assert not inbox.unread

    async def test_a_store_that_is_away(self, autojump_clock: trio.testing.MockClock) -> None:
        """It is not waited for: others may run, and it is said again at the next look."""
        store, inbox = await opened()
        store.away.add("deliver")
        await inbox.expire("1")
        assert trio.current_time() == 1
        assert not inbox.unread
        store.away.clear()
        await inbox.expire("1")
        assert await inbox.read() == [EXPIRED]
