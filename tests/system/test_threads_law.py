"""The law of threads: whatever is done in them, they are what a plain dictionary would be.

Each step is done in a runtime and in the dictionary; then all that both tell is compared: the
threads of each owner, what was said in them, what a model was asked with, and who may follow whom.
"""

from typing import Final, TypeAlias

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings, strategies as st
from thread_kit import result_of

from trio_agent._agent import Agent
from trio_agent._errors import ModelError, ThreadBusy, UnknownThread
from trio_agent._limits import Retention, RuntimeLimits
from trio_agent._log.store import Store
from trio_agent._messages import AnyMessage, AssistantMessage, UserMessage
from trio_agent._run.run import Run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import Line, ScriptedModel, StoreProxy, autojump_clock

Key: TypeAlias = tuple[str | None, str]

KEYS: Final[list[Key]] = [(None, "t"), ("", "t"), ("me", "t"), ("me", "u")]

KEPT: Final = 100.0
"""Seconds that an idle thread stays."""


@attrs.define
class Modelled:
    """A thread, as a plain dictionary has it."""

    turns: dict[str, tuple[str | None, tuple[AnyMessage, ...]]] = attrs.Factory(dict)
    head: str | None = None
    active: str | None = None
    spoke: bool = False
    prompt: str = ""
    follows: str | None = None
    idle_since: float = 0.0

    def before(self, last: str | None) -> tuple[AnyMessage, ...]:
        said: tuple[AnyMessage, ...] = ()
        while last is not None:
            last, messages = self.turns[last]
            said = messages + said
        return said

    def end(self) -> None:
        """The run that is active ends, and adds what it has said."""
        assert self.active is not None
        if self.spoke:
            messages = UserMessage(self.prompt), AssistantMessage("a")
            self.turns[self.active] = (self.follows, messages)
            self.head = self.active
        self.active, self.idle_since = None, trio.current_time()


ENDS: Final[dict[str, tuple[list[Line], bool, bool]]] = {
    # What its model says, whether that is a word, and whether the run goes on.
    "stop": (["a"], True, False),
    "fails": (["a", ModelError("bad-request", "no")], True, False),
    "fails in silence": ([ModelError("bad-request", "no")], False, False),
    "hangs": (["a", trio.Event()], True, True),
    "hangs in silence": ([trio.Event()], False, True),
}


class World:
    """A runtime, and the dictionary."""

    def __init__(self, runtime: Runtime, store: Store) -> None:
        self.runtime = runtime
        self.store = store
        self.threads: dict[Key, Modelled] = {}
        self.runs: list[Run] = []
        self.number = 0

    def _after(self, model: Modelled, choice: int) -> str | None:
        """The head, a new beginning, a turn of the thread, or a run that none can follow."""
        options = [None, "", *model.turns, *(run.id for run in self.runs[-2:]), "nope"]
        return options[choice % len(options)]

    async def start(self, key: Key, end: str, choice: int, *, steal: bool) -> None:
        owner, name = key
        model = self.threads.get(key, Modelled())
        after = self._after(model, choice)
        lines, spoke, goes_on = ENDS[end]
        scripted = ScriptedModel(lines)
        self.number += 1
        prompt = f"{self.number}"

        async def begin() -> Run:
            return await self.runtime.start(
                Agent(model=scripted),
                prompt,
                thread=name,
                owner=owner,
                after=after,
                on_busy="cancel" if steal else "reject",
            )

        if model.active is not None and not steal:
            with pytest.raises(ThreadBusy) as raised:
                await begin()
            assert raised.value.run_id == model.active
            return
        if after and after not in model.turns:
            # Who is active is cancelled for nothing that can't be.
            with pytest.raises(ValueError, match="has no turn"):
                await begin()
            return
        if model.active is not None:
            model.end()
            self._forget_empty(key)
        follows = model.head if after is None else after or None
        run = await begin()
        self.runs.append(run)
        self.threads[key] = model
        model.active, model.spoke, model.prompt, model.follows = run.id, spoke, prompt, follows
        await trio.testing.wait_all_tasks_blocked()
        [request] = scripted.requests
        assert request.messages == (*model.before(follows), UserMessage(prompt))
        if not goes_on:
            await result_of(run)
            model.end()
            self._forget_empty(key)

    def _forget_empty(self, key: Key) -> None:
        if (model := self.threads.get(key)) is not None and not model.turns:
            del self.threads[key]

    async def cancel(self, key: Key) -> None:
        model = self.threads.get(key)
        if model is not None and model.active is not None:
            await (await self.runtime.find(model.active)).cancel()
            model.end()
            self._forget_empty(key)

    async def delete_thread(self, key: Key) -> None:
        owner, name = key
        model = self.threads.get(key)
        if model is None:
            # Runs that have said nothing are of no thread that is there, and go with its name.
            if not (await self.runtime.runs(owner, thread=name)).runs:
                with pytest.raises(UnknownThread):
                    await self.runtime.delete_thread(name, owner=owner)
            else:
                await self.runtime.delete_thread(name, owner=owner)
                assert not (await self.runtime.runs(owner, thread=name)).runs
        elif model.active is not None:
            with pytest.raises(ThreadBusy):
                await self.runtime.delete_thread(name, owner=owner)
        else:
            await self.runtime.delete_thread(name, owner=owner)
            del self.threads[key]
            assert (await self.runtime.runs(owner, thread=name)).runs == ()

    async def delete_run(self, choice: int) -> None:
        """Its turn stays."""
        finished = (await self.runtime.runs()).runs
        finished = tuple(each for each in finished if each.status != "active")
        if finished:
            await self.runtime.delete(finished[choice % len(finished)].id)

    async def expire(self, seconds: float) -> None:
        await trio.sleep(seconds)
        await self.store.expire(RETENTION)
        now = trio.current_time()
        for key, model in list(self.threads.items()):
            if model.active is None and model.idle_since + KEPT <= now:
                del self.threads[key]

    async def compare(self) -> None:
        for owner in {owner for owner, _ in KEYS}:
            names = {name for each, name in self.threads if each == owner}
            page = await self.runtime.threads(owner)
            assert {thread.thread for thread in page.threads} == names
            for thread in page.threads:
                model = self.threads[owner, thread.thread]
                assert (thread.head, thread.active, thread.turns) == (
                    *(model.head, model.active, len(model.turns)),
                )
                for last in (None, *model.turns):
                    said = await self.runtime.thread_messages(thread.thread, owner=owner, last=last)
                    assert said.messages == model.before(last or model.head)
        active = sum(model.active is not None for model in self.threads.values())
        assert self.runtime.statistics().active == active


RETENTION: Final = Retention(seconds=1e9, thread_seconds=KEPT)

KEY = st.sampled_from(KEYS)
CHOICE = st.integers(0, 7)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), KEY, st.sampled_from(sorted(ENDS)), CHOICE, st.booleans()),
        st.tuples(st.just("start"), KEY, st.sampled_from(sorted(ENDS)), st.just(0), st.booleans()),
        st.tuples(st.just("cancel"), KEY),
        st.tuples(st.just("delete_thread"), KEY),
        st.tuples(st.just("delete_run"), CHOICE),
        st.tuples(st.just("expire"), st.sampled_from([30.0, 80.0])),
    ),
    max_size=25,
)


@pytest.mark.parametrize("far", [False, True], ids=["memory", "writer"])
@settings(max_examples=60)
@given(steps=STEPS)
def test_threads_are_what_a_dictionary_would_be(far: bool, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    async def play() -> None:
        memory = MemoryStore()
        store: Store = StoreProxy(memory) if far else memory
        limits = RuntimeLimits(retention=RETENTION)
        async with open_runtime(store=store, limits=limits) as runtime:
            world = World(runtime, store)
            for name, *how in steps:
                match name:
                    case "start":
                        key, end, choice, steal = how
                        await world.start(key, end, choice, steal=steal)
                    case "cancel":
                        await world.cancel(*how)
                    case "delete_thread":
                        await world.delete_thread(*how)
                    case "delete_run":
                        await world.delete_run(*how)
                    case "expire":
                        await world.expire(*how)
                await trio.testing.wait_all_tasks_blocked()
                await world.compare()
            await runtime.drain(0)

    trio.run(play, clock=autojump_clock())
