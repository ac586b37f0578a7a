"""Places for runs: taken before anything is awaited, waited for in turn, given back."""

import pytest
import trio
import trio.testing

from trio_agent._errors import LimitExceeded
from trio_agent._runtime.places import Places


def full(count: int = 1) -> Places:
    places = Places(count)
    for _ in range(count):
        places.take()
    return places


class TestTaking:
    def test_as_many_as_there_are(self) -> None:
        places = full(2)
        assert (places.taken, places.open) == (2, True)
        with pytest.raises(LimitExceeded, match=r"^2 runs are active, which is the limit$"):
            places.take()
        assert places.taken == 2
        places.give_back()
        places.take()

    def test_none_when_they_are_closed(self) -> None:
        places = Places(2)
        places.close()
        with pytest.raises(LimitExceeded, match="draining"):
            places.take()
        with pytest.raises(LimitExceeded, match="draining"):
            places.check_open()
        assert (places.taken, places.open) == (0, False)

    def test_they_are_open_also_where_all_are_taken(self) -> None:
        full().check_open()


class TestWaiting:
    async def test_a_free_one_is_taken_at_once(self) -> None:
        places = Places(1)
        with trio.testing.assert_checkpoints():
            await places.wait()
        assert places.taken == 1

    async def test_one_for_each_that_is_given_back(self) -> None:
        places = full(2)
        got: list[int] = []

        async def wait(number: int) -> None:
            await places.wait()
            got.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(wait, number)
                await trio.testing.wait_all_tasks_blocked()
            assert got == []
            for expected in ([0], [0, 1], [0, 1, 2]):
                places.give_back()
                await trio.testing.wait_all_tasks_blocked()
                assert got == expected
                assert places.taken == 2

    async def test_who_comes_between_leaves_it_waiting(self) -> None:
        places = full()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(places.wait)
            await trio.testing.wait_all_tasks_blocked()
            places.give_back()
            places.take()  # before the other one runs
            await trio.testing.wait_all_tasks_blocked()
            assert nursery.child_tasks
            places.give_back()
        assert places.taken == 1

    @pytest.mark.parametrize("closed_before", [True, False])
    async def test_nobody_waits_for_what_is_closed(self, closed_before: bool) -> None:
        places = full()
        refused: list[str] = []

        async def wait() -> None:
            with pytest.raises(LimitExceeded, match="draining") as caught:
                await places.wait()
            refused.append(str(caught.value))

        if closed_before:
            places.close()
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            places.close()
        assert len(refused) == 2
        assert places.taken == 1

    async def test_who_is_cancelled_takes_none(self) -> None:
        places = full()
        with trio.CancelScope() as scope:
            scope.cancel()
            await places.wait()
        places.give_back()
        assert places.taken == 0


class TestIdleness:
    async def test_it_is_a_checkpoint_when_none_is_taken(self) -> None:
        with trio.testing.assert_checkpoints():
            await Places(1).wait_idle()

    async def test_until_all_are_given_back(self) -> None:
        places = full(2)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(places.wait_idle)
            await trio.testing.wait_all_tasks_blocked()
            places.give_back()
            await trio.testing.wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 2
            places.give_back()

    async def test_one_that_is_taken_meanwhile_is_waited_for(self) -> None:
        places = full()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(places.wait_idle)
            await trio.testing.wait_all_tasks_blocked()
            places.give_back()
            places.take()
            await trio.testing.wait_all_tasks_blocked()
            assert nursery.child_tasks
            places.give_back()
