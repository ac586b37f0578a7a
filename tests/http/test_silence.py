"""A wait that ends when nothing is heard any more."""

import pytest
import trio
import trio.testing

from trio_agent._http.silence import Silence


async def test_from_the_start(autojump_clock: trio.testing.MockClock) -> None:
    silence = Silence(10)
    with silence.scope:
        await trio.sleep_forever()
    assert trio.current_time() == 10


@pytest.mark.parametrize("pace", [0.1, 0.9, 1, 5, 9.9])
async def test_from_the_last_sign_of_life(
    pace: float, autojump_clock: trio.testing.MockClock
) -> None:
    silence = Silence(10)
    last = 0.0
    with silence.scope:
        for _ in range(20):
            await trio.sleep(pace)
            silence.heard()
            last = trio.current_time()
        await trio.sleep_forever()
    assert 10 <= trio.current_time() - last <= 11 + 1e-6


async def test_not_while_nobody_listens(autojump_clock: trio.testing.MockClock) -> None:
    silence = Silence(10)
    with silence.scope:
        silence.pause()
        await trio.sleep(1000)
        silence.heard()
        await trio.sleep_forever()
    assert 1010 <= trio.current_time() <= 1011


async def test_no_deadline_at_all(autojump_clock: trio.testing.MockClock) -> None:
    silence = Silence(float("inf"))
    with silence.scope:
        silence.heard()
        await trio.sleep(80_000)
    assert not silence.scope.cancelled_caught


async def test_few_signs_move_the_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """That is what makes a sign cheap."""
    silence = Silence(10)
    moved = set()
    with silence.scope:
        for _ in range(1000):
            await trio.sleep(0.01)
            silence.heard()
            moved.add(silence.scope.deadline)
    assert len(moved) <= 11
