"""The sweep: every point is met once, and what goes wrong there is told with its point."""

import pytest
import trio
import trio.testing

from trio_agent._errors import StoreUnavailable
from trio_agent.testing import Sweep, autojump_clock, cancel_sweep


def test_a_sweep_meets_every_step() -> None:
    reached: list[int] = []

    async def scenario(sweep: Sweep) -> None:
        done = 0
        with sweep:
            for _ in range(5):
                await trio.lowlevel.checkpoint()
                done += 1
        reached.append(done)

    assert cancel_sweep(scenario) == 5
    assert reached == [0, 1, 2, 3, 4, 5]


def test_steps_of_all_tasks_are_points() -> None:
    reached: list[int] = []

    async def scenario(sweep: Sweep) -> None:
        done = 0

        async def work() -> None:
            nonlocal done
            for _ in range(3):
                await trio.lowlevel.checkpoint()
                done += 1

        with sweep:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work)
                nursery.start_soon(work)
        reached.append(done)

    points = cancel_sweep(scenario)
    # Each of two tasks takes its first step and three more, and the block one when they are done.
    assert points == 9
    assert len(reached) == points + 1
    assert reached[-1] == 6
    assert set(reached) == set(range(7))


def test_what_stands_around_the_block_is_not_cancelled() -> None:
    around: list[tuple[bool, bool]] = []

    async def scenario(sweep: Sweep) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        before = sweep.interrupted
        with sweep:
            await trio.lowlevel.checkpoint()
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        around.append((before, sweep.interrupted))

    assert cancel_sweep(scenario) == 1
    assert around == [(False, True), (False, False)]


def test_only_calls_of_point_are_points() -> None:
    reached: list[list[str]] = []

    async def scenario(sweep: Sweep) -> None:
        done: list[str] = []
        sweep.point()  # outside: none
        with sweep:
            for name in ("a", "b"):
                await trio.lowlevel.checkpoint()
                sweep.point()
                await trio.lowlevel.checkpoint()
                done.append(name)
        sweep.point()
        reached.append(done)

    assert cancel_sweep(scenario, steps=False) == 2
    assert reached == [[], ["a"], ["a", "b"]]


def test_a_block_without_a_point_is_over_at_once() -> None:
    rounds = 0

    async def scenario(sweep: Sweep) -> None:
        nonlocal rounds
        rounds += 1
        with sweep:
            pass

    assert cancel_sweep(scenario) == 0
    assert rounds == 1


def test_waiting_takes_no_time() -> None:
    ends: list[float] = []

    async def scenario(sweep: Sweep) -> None:
        start = trio.current_time()
        with sweep:
            await trio.lowlevel.checkpoint()
            await trio.sleep(1000)
        ends.append(trio.current_time() - start)

    assert cancel_sweep(scenario) == 2
    # A point is a step: the second one is when it wakes up.
    assert ends == [0, 1000, 1000]


def test_each_round_has_a_clock_of_its_own() -> None:
    clocks: list[trio.abc.Clock] = []

    def make() -> trio.abc.Clock:
        clocks.append(autojump_clock())
        return clocks[-1]

    async def scenario(sweep: Sweep) -> None:
        assert trio.lowlevel.current_clock() is clocks[-1]
        with sweep:
            await trio.sleep(1)

    assert cancel_sweep(scenario, clock=make) == 1
    assert len(set(map(id, clocks))) == 2


def test_a_sweep_tells_where_it_failed() -> None:
    async def scenario(sweep: Sweep) -> None:
        done = 0
        with sweep:
            for _ in range(5):
                await trio.lowlevel.checkpoint()
                done += 1
        assert done != 3

    with pytest.raises(AssertionError) as caught:
        cancel_sweep(scenario)
    assert caught.value.__notes__ == ["the scenario was cancelled at point 3"]


def test_a_sweep_finds_a_task_that_stays() -> None:
    async def scenario(sweep: Sweep) -> None:
        with sweep:
            trio.lowlevel.spawn_system_task(trio.sleep_forever)
            await trio.lowlevel.checkpoint()

    with pytest.raises(AssertionError, match=r"outlived the scenario: .*sleep_forever"):
        cancel_sweep(scenario)


def test_a_sweep_finds_what_gets_stuck() -> None:
    async def scenario(sweep: Sweep) -> None:
        with sweep:
            await trio.lowlevel.checkpoint()
        if sweep.interrupted:
            await trio.sleep_forever()

    with pytest.raises(trio.TooSlowError) as caught:
        cancel_sweep(scenario)
    assert caught.value.__notes__ == ["the scenario was cancelled at point 0"]


def test_a_sweep_finds_what_goes_wrong_in_a_cleanup() -> None:
    async def scenario(sweep: Sweep) -> None:
        done = 0
        with sweep:
            try:
                for _ in range(3):
                    await trio.lowlevel.checkpoint()
                    done += 1
            finally:
                if done == 1:
                    raise StoreUnavailable("half done")

    with pytest.raises(StoreUnavailable) as caught:
        cancel_sweep(scenario)
    assert caught.value.__notes__ == ["the scenario was cancelled at point 1"]


def test_a_sweep_passes_errors_of_the_block_on() -> None:
    async def scenario(sweep: Sweep) -> None:
        with sweep:
            await trio.lowlevel.checkpoint()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        cancel_sweep(scenario)
