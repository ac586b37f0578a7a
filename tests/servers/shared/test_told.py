"""What runs are told, whatever the wire."""

from typing import Any

import pytest
import trio
import trio.testing
from server_kit import StepModel
from till_kit import Till, asleep

from trio_agent import Agent, MemoryStore, RunOver, open_runtime
from trio_agent._log import inbox
from trio_agent.servers._shared.problem import Problem
from trio_agent.servers._shared.told import Answer, Message, answer, check_key, say


async def test_who_waits_for_long_is_told(autojump_clock: trio.testing.MockClock) -> None:
    """A message is taken between two steps."""
    model = StepModel()
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model), "hi")
        began = trio.current_time()
        message = Message("more", "k")
        assert await say(run, message, None) == {"runId": run.id, "pending": True}
        assert trio.current_time() == began + 30
        replies: list[Any] = []

        async def say_again() -> None:
            replies.append(await say(run, message, None))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say_again)
            await trio.testing.wait_all_tasks_blocked()
            model.finish()
        assert replies == [{"runId": run.id}]
        model.finish()
        assert (await run.wait()).steps == 2


async def test_a_run_that_takes_no_more(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is to try again: it will not be less."""
    monkeypatch.setattr(inbox, "INBOX_ITEMS", 0)
    till = Till()
    async with open_runtime(store=MemoryStore(), agents=[till.agent]) as runtime:
        run = await runtime.start(till.agent, "hi")
        await asleep(run)
        for telling in (say(run, Message("x"), None), answer(run, Answer("c1", True), None)):
            with pytest.raises(Problem) as caught:
                await telling
            problem = caught.value
            assert (problem.status, problem.code, problem.headers) == (429, "limit-exceeded", {})
        await run.cancel()
        with pytest.raises(RunOver):
            await say(run, Message("x"), None)


@pytest.mark.parametrize("key", [None, "k", "k" * 255])
def test_keys(key: str | None) -> None:
    check_key(key)


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(Problem) as caught:
        check_key(key)
    assert (caught.value.status, caught.value.code) == (400, "bad-request")
