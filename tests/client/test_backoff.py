"""When the client tries again."""

import pytest
import trio
import trio.testing

from trio_agent.client import TransportError
from trio_agent.client._backoff import Backoff

FAILURE = TransportError("cut-stream", "x")


async def test_patience_counts_while_the_server_is_away(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Not while a stream is silent, nor since the last event."""
    backoff = Backoff(10)
    for _ in range(5):
        await trio.sleep(1000)
        backoff.connected()
        await backoff.wait(FAILURE)
    begin = trio.current_time()
    with pytest.raises(TransportError):  # noqa: PT012
        while True:
            await backoff.wait(FAILURE)
    assert 3 < trio.current_time() - begin <= 10
    backoff.connected()
    backoff.reset()
    begin = trio.current_time()
    await backoff.wait(FAILURE)
    assert trio.current_time() == begin


@pytest.mark.parametrize(
    ("wish", "least", "most"),
    [(-5, 0, 0), (0, 0, 0), (7, 7, 7), (30, 30, 30), (31_536_000, 30, 30), (float("inf"), 30, 30)],
)
async def test_a_servers_wish_is_respected_within_bounds(
    wish: float, least: float, most: float, autojump_clock: trio.testing.MockClock
) -> None:
    begin = trio.current_time()
    await Backoff(60).wait(FAILURE, wish)
    assert least <= trio.current_time() - begin <= most


async def test_a_wish_makes_no_wait_shorter(autojump_clock: trio.testing.MockClock) -> None:
    backoff = Backoff(1000)
    for _ in range(12):
        await backoff.wait(FAILURE)
    begin = trio.current_time()
    await backoff.wait(FAILURE, 0.001)
    assert 5 <= trio.current_time() - begin <= 10
