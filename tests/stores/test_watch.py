"""The ready-made watch: news are merged, told in order, and never lost."""

import pytest
import trio
import trio.testing

from trio_agent.stores._watch import NewsWatch


def watching(*run_ids: str, log: bool = True) -> NewsWatch:
    """Make a watch of these runs, whose first news are taken already."""
    watch = NewsWatch()
    for run_id in run_ids:
        watch.add(run_id, log=log)
    watch._news.clear()
    return watch


async def pending(watch: NewsWatch) -> list[str]:
    """Take all news that there are."""
    told = []
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()

            nursery.start_soon(end)
            while True:
                told.append(await watch.receive())
    return told


async def test_a_run_that_is_added_is_told_once() -> None:
    watch = NewsWatch()
    for run_id in ("b", "a", "c"):
        watch.add(run_id, log=run_id != "a")
    assert watch.watched == {"a", "b", "c"}
    assert await pending(watch) == ["b", "a", "c"]
    assert await pending(watch) == []


async def test_news_are_merged_and_what_was_new_first_is_told_first() -> None:
    watch = watching("a", "b", "c")
    for run_id in ("b", "a", "b", "c", "a"):
        watch.notify(run_id)
    assert await watch.receive() == "b"
    watch.notify("b")
    assert await pending(watch) == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("wants_log", "log", "told"),
    [
        (True, True, True),
        (True, False, True),
        (False, True, False),
        (False, False, True),
        (None, True, False),
        (None, False, False),
    ],
)
async def test_what_is_told(wants_log: bool | None, log: bool, told: bool) -> None:
    watch = watching() if wants_log is None else watching("a", log=wants_log)
    watch.notify("a", log=log)
    assert await pending(watch) == ["a"] * told


async def test_adding_again_says_anew_what_is_wanted() -> None:
    watch = watching("a")
    for wanted in (False, True):
        watch.add("a", log=wanted)
        assert await pending(watch) == ["a"]
        watch.notify("a", log=True)
        assert await pending(watch) == ["a"] * wanted
    assert watch.watched == {"a"}


async def test_of_a_discarded_run_nothing_is_told() -> None:
    watch = watching("a", "b")
    for run_id in ("a", "b"):
        watch.notify(run_id)
    watch.discard("a")
    watch.discard("nobody")
    watch.notify("a")
    assert watch.watched == {"b"}
    assert await pending(watch) == ["b"]
    watch.add("a")
    assert await pending(watch) == ["a"]


async def test_what_may_have_been_missed_is_all_that_is_watched() -> None:
    watch = watching("a", "b", log=False)
    watch.notify("b")
    watch.notify_all()
    assert await pending(watch) == ["b", "a"]


async def test_receivers_share_the_news(autojump_clock: trio.testing.MockClock) -> None:
    watch = watching("a", "b", "c")
    told: list[str] = []

    async def receive() -> None:
        with trio.fail_after(60):
            told.append(await watch.receive())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        for run_id in ("a", "b", "c"):
            watch.notify(run_id)
    assert sorted(told) == ["a", "b", "c"]
    assert await pending(watch) == []


async def test_receiving_and_closing_are_checkpoints() -> None:
    watch = watching("a")
    watch.notify("a")
    with trio.testing.assert_checkpoints():
        await watch.receive()
    with trio.testing.assert_checkpoints():
        await watch.aclose()


async def test_a_watch_wakes_its_receiver_when_it_is_closed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    watch = NewsWatch()
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with trio.fail_after(60), pytest.raises(trio.ClosedResourceError):
                await watch.receive()

        for _ in range(2):
            nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await watch.aclose()
    watch.add("a")
    with pytest.raises(trio.ClosedResourceError):
        await watch.receive()


async def test_a_watch_that_is_cancelled_loses_nothing() -> None:
    watch = NewsWatch()
    watch.add("a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await watch.receive()
    assert scope.cancelled_caught
    assert await watch.receive() == "a"


@pytest.mark.parametrize("news_first", [True, False])
async def test_news_at_the_moment_of_a_cancel_are_taken_or_left(news_first: bool) -> None:
    watch = watching("a")
    told: list[str] = []

    async def receive() -> None:
        told.append(await watch.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        if news_first:
            watch.notify("a")
        nursery.cancel_scope.cancel()
        if not news_first:
            watch.notify("a")
    assert told == ["a"] * news_first
    assert await pending(watch) == ["a"] * (not news_first)
