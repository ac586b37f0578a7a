"""Stores that are away, forget, or lose an end: an answer, its calls and its state are one."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing
from runtime_kit import logged
from shared_kit import ForgetfulStore, look, quiet
from store_kit import whole_log

from trio_agent._agent import Agent
from trio_agent._errors import FenceLost
from trio_agent._events import ModelFinished, RunError, ToolCall, Usage
from trio_agent._log import lane
from trio_agent._log.log import Append, Appended
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models._parts import ModelFinish, ToolInputPart
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, call

CALLS = 128


class Noting(FaultyStore):
    """Notes what came in one commit."""

    def __init__(self, memory: MemoryStore) -> None:
        super().__init__(memory)
        self.commits: list[tuple[list[type], set[int]]] = []

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        outcomes = await super().append(batch)
        for each in batch:
            kinds = [type(entry.event) for entry in each.entries]
            self.commits.append((kinds, set(each.private)))
        return outcomes

    def check_commits(self) -> None:
        """Each answer came with all its calls, and with what is kept beside it."""
        answers = [kinds for kinds, _ in self.commits if ModelFinished in kinds]
        assert answers
        assert any(ToolCall in kinds for kinds in answers)
        for kinds, private in self.commits:
            if ToolCall in kinds:
                assert kinds.count(ToolCall) == CALLS
                assert ModelFinished in kinds
            assert bool(private) == (ModelFinished in kinds)


def agent() -> Agent:
    large = {"p": "s" * (2 << 20)}
    asked = [ToolInputPart(str(n), "look", '{"city":"%s"}' % ("x" * 9_000)) for n in range(CALLS)]
    scripts: list[list[Any]] = [
        [*asked, 0.1, ModelFinish("tool-calls", Usage(1, 2, 3), provider=large)],
        ["snow", ModelFinish("stop", provider={"p": 1})],
    ]
    return Agent(model=ScriptedModel(*scripts), tools=[look])


@pytest.mark.parametrize("trouble", ["", "slow", "away", "forgetful", "small groups"])
async def test_an_answer_is_one_commit(
    trouble: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """With more than a mebibyte of calls, and two of what its provider wants back."""
    memory = MemoryStore()
    store = Noting(memory)
    if trouble == "small groups":
        monkeypatch.setattr(lane, "_GROUP", 1000)
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(agent(), "hi")
        if trouble == "slow":
            store.delay = 0.3
        async with trio.open_nursery() as nursery:

            async def trouble_makes() -> None:
                if trouble in ("away", "forgetful"):
                    await trio.sleep(0.05)
                    getattr(store, trouble).add("append")
                    await trio.sleep(1)
                    getattr(store, trouble).clear()

            nursery.start_soon(trouble_makes)
            result = await run.wait()
        log = await logged(memory, run.id)
    assert result.finish_reason == "stop"
    assert sum(isinstance(event, ModelFinished) for event in log) == 2
    assert sum(isinstance(event, ToolCall) for event in log) == CALLS
    if trouble != "forgetful":  # then a repetition finds it done
        store.check_commits()


async def test_what_is_kept_behind_a_lost_end_is_lost_with_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    memory = MemoryStore()
    store = ForgetfulStore(memory)
    scripts: list[list[Any]] = [
        [call("1", "look"), ModelFinish("tool-calls", Usage(1, 2, 3), provider={"p": "secret"})],
        ["snow", trio.Event()],
    ]
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(*scripts), tools=[look]), "hi")
        await quiet()
        events = await logged(memory, run.id)
        place = next(n for n, e in enumerate(events, 1) if isinstance(e, ModelFinished))
        store.forget(run.id, len(events) - place + 1)
        run.request_cancel()
        with pytest.raises(FenceLost, match="gap"):
            await run.wait()
        await quiet()
        entries = await whole_log(memory, run.id)
        assert isinstance(last := entries[-1].event, RunError)
        assert (last.error.code, last.usage) == ("log-lost", Usage())
        offsets = range(1, len(entries) + 1)
        assert set(await memory.read_private(run.id, offsets)) == {b""}
