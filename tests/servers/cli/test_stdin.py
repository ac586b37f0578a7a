"""Lines of standard input, each for who asks for it."""

import os
import sys
from collections.abc import Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_agent.servers.cli._stdin import Stdin


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where somebody types."""
    reading, writing = os.pipe()
    with open(reading) as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield writing


async def test_lines_and_their_end(typed: int, capsys: pytest.CaptureFixture[str]) -> None:
    os.write(typed, b"a\n\nb")
    os.close(typed)
    async with trio.open_nursery() as nursery:
        stdin = Stdin(nursery)
        assert [await stdin.ask("? ") for _ in range(4)] == ["a", "", "b", None]
    assert capsys.readouterr().out == "? ? ? ? "


@pytest.mark.parametrize("late", [False, True])
async def test_a_line_that_nobody_waits_for_is_for_who_asks_next(typed: int, late: bool) -> None:
    async with trio.open_nursery() as nursery:
        stdin = Stdin(nursery)
        with trio.CancelScope() as scope:
            scope.cancel()
            await stdin.ask("? ")
        if late:
            nursery.start_soon(trio.to_thread.run_sync, os.write, typed, b"a\nb\n")
        else:
            os.write(typed, b"a\nb\n")
            await wait_all_tasks_blocked(0.01)
        assert await stdin.ask("? ") == "a"
        assert await stdin.ask("? ") == "b"
        os.close(typed)
