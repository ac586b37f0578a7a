"""Reading a whole log back from its store."""

from collections.abc import Sequence

import msgspec
import pytest
import trio
import trio.testing
from runtime_kit import finished
from store_kit import deltas, finish, record

from trio_agent._agent import Agent
from trio_agent._errors import (
    CursorExpired,
    LogDamaged,
    StoreUnavailable,
    TrioAgentError,
    UnknownRun,
)
from trio_agent._events import AnyEvent, ModelFinished, StepFinish, Usage
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._messages import AnyMessage, AssistantMessage, UserMessage
from trio_agent._run.replay import replay
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, call
from trio_agent.tools._tool import tool


@tool
async def look(city: str) -> str:
    """Look."""
    return f"{city}: snow"


async def store_with(*batch: Append) -> MemoryStore:
    store = MemoryStore()
    await store.create(record("r"))
    if batch:
        assert set(await store.append(batch)) == {Appended.COMMITTED}
    return store


async def test_the_transcript_of_a_run_is_what_its_result_says() -> None:
    model = ScriptedModel(["I ", call("1", "look", city="Oslo")], ["sn", "ow"])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[look]), "hi")
        result = await run.wait()
        transcript, tail = await replay(runtime.store, run.id, [UserMessage("hi")])
    assert transcript.messages == result.messages
    assert (transcript.text, tail) == (result.text, run.cursor.offset)
    assert transcript.calls == ()


def answers(*kept: bytes) -> Append:
    """Silent answers, each with this beside it, and the end."""
    events: list[AnyEvent] = []
    for _ in kept:
        event = ModelFinished(at=0, step_number=1, model="m", reason="stop", usage=Usage())
        events += [event, StepFinish(at=0, step_number=1, usage=Usage())]
    entries = [Entry.of(n, event) for n, event in enumerate(events, 1)]
    return Append("r", 1, entries, {2 * n + 1: each for n, each in enumerate(kept) if each})


async def test_what_is_kept_beside_answers_is_in_the_transcript() -> None:
    large = msgspec.json.encode({"p": "x" * 700_000})
    store = FaultyStore(await store_with(answers(b'{"p":1}', b"", large, large, b'{"p":2}')))
    transcript, _ = await replay(store, "r")
    kept = [message.provider for message in transcript.messages]  # type: ignore[union-attr]
    assert kept == [{"p": 1}, {"p": "x" * 700_000}, {"p": "x" * 700_000}, {"p": 2}]
    assert store.calls["read_private"] > 1, "it comes in pages"


async def test_a_log_without_answers_has_nothing_beside_it() -> None:
    store = FaultyStore(await store_with(deltas("r", 1, 6), finish("r", 7)))
    await replay(store, "r")
    assert not store.calls["read_private"]


@pytest.mark.parametrize("kept", [b"{", b"[1]", b"\xff", b"[" * 5000])
async def test_what_is_kept_and_can_not_be_read(kept: bytes) -> None:
    with pytest.raises(LogDamaged):
        await replay(await store_with(answers(kept)), "r")


@pytest.mark.parametrize("said", [(), (UserMessage("a"), AssistantMessage("b"))])
async def test_an_empty_log(said: Sequence[AnyMessage]) -> None:
    transcript, tail = await replay(await store_with(), "r", said)
    assert (transcript.messages, transcript.text, tail) == (tuple(said), "", 0)


@pytest.mark.parametrize(("page", "reads"), [(1, 8), (3, 4), (7, 2), (100, 2)])
async def test_a_log_of_several_pages(
    page: int, reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent._run.replay._PAGE", page)
    store = FaultyStore(await store_with(deltas("r", 1, 6), finish("r", 7)))
    transcript, tail = await replay(store, "r")
    assert (transcript.text, tail) == ("xxxxxx", 7)
    assert transcript.messages == (AssistantMessage("xxxxxx"),)
    assert store.calls["read"] == reads


async def test_a_log_without_its_end_has_an_open_step() -> None:
    transcript, tail = await replay(await store_with(deltas("r", 1, 2)), "r")
    assert (transcript.text, transcript.messages, tail) == ("xx", (), 2)


async def test_events_of_a_later_version_count_and_say_nothing() -> None:
    unknown = Append("r", 1, [Entry(2, b'{"type":"tomorrow","at":0}', terminal=False)])
    transcript, tail = await replay(await store_with(deltas("r", 1), unknown, finish("r", 3)), "r")
    assert (transcript.text, tail) == ("x", 3)


@pytest.mark.parametrize("data", [b"", b"{", b'{"type":"text-delta"}'])
async def test_a_log_that_cannot_be_read_gives_no_half_transcript(data: bytes) -> None:
    broken = Append("r", 1, [Entry(2, data, terminal=False)])
    store = await store_with(deltas("r", 1), broken, finish("r", 3))
    with pytest.raises(LogDamaged):
        await replay(store, "r")


@pytest.mark.parametrize("error", [UnknownRun, CursorExpired, StoreUnavailable])
async def test_a_log_that_is_not_there(error: type[TrioAgentError]) -> None:
    async with open_runtime() as runtime:
        run = await finished(runtime)
        store = FaultyStore(runtime.store)
        if error is StoreUnavailable:
            store.away.add("read")
        elif error is CursorExpired:
            await store.delete(run.id)
        with pytest.raises(error):
            await replay(store, "nope" if error is UnknownRun else run.id)


async def test_it_is_a_checkpoint() -> None:
    store = await store_with()
    with trio.testing.assert_checkpoints():
        await replay(store, "r")
    with trio.CancelScope() as scope:
        scope.cancel()
        await replay(store, "r")
    assert scope.cancelled_caught
