"""The messages of a run, a page at a time."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from store_kit import deltas, finish, record

from trio_agent._agent import Agent
from trio_agent._errors import CursorExpired, LogDamaged, StoreUnavailable, UnknownRun
from trio_agent._events import StepFinish, Usage
from trio_agent._log.log import PAGE_BYTES, Append, Entry
from trio_agent._log.store import Store
from trio_agent._messages import AnyMessage, AssistantMessage, File, Text, UserMessage
from trio_agent._run.message_page import MessagePage, read_messages
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models._parts import ModelFinish
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, call
from trio_agent.tools._tool import tool

LONG = "x" * PAGE_BYTES


@tool
async def look(city: str) -> str:
    """Look."""
    return f"{city}: snow"


async def pages_of(store: Store, run_id: str) -> list[MessagePage]:
    pages = [await read_messages(store, run_id, 0)]
    while (after := pages[-1].next) is not None:
        pages.append(await read_messages(store, run_id, after))
    return pages


def flat(pages: list[MessagePage]) -> tuple[AnyMessage, ...]:
    return tuple(message for page in pages for message in page.messages)


@pytest.mark.parametrize(
    ("prompt", "words", "pages"),
    [
        ("hi", ("a", "b", "c"), 1),
        (LONG, ("a", "b", "c"), 2),
        ("hi", (LONG, "b", "c"), 2),
        ("hi", ("a", LONG, "c"), 2),
        (LONG, (LONG, LONG, LONG), 5),
    ],
    ids=["short", "long-prompt", "long-first", "long-second", "all-long"],
)
async def test_all_pages_are_what_the_result_says(
    prompt: str, words: tuple[str, ...], pages: int
) -> None:
    scripts: list[list[Any]] = [
        [words[0], call("1", "look", city="Oslo")],
        [words[1], call("2", "look", city="Rome")],
        [words[2]],
    ]
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(*scripts), tools=[look]), prompt)
        result = await run.wait()
        found = await pages_of(runtime.store, run.id)
        assert await runtime.messages(run.id) == found[0]
    assert flat(found) == result.messages
    assert len(found) == pages


async def test_files_go_by_their_names_and_nothing_goes_to_strangers() -> None:
    kept = ModelFinish("stop", provider={"p": "a secret"})
    before = AssistantMessage("b", provider={"p": "a secret"})
    said = UserMessage((Text("see"), File("image/png", data=b"PNG")))
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a", kept])), messages=[before, said])
        await run.wait()
        page = await runtime.messages(run.id)
    file = File("image/png", blob=f"{run.id}/{sha256(b'PNG').hexdigest()}")
    assert page.messages == (
        AssistantMessage("b"),
        UserMessage((Text("see"), file)),
        AssistantMessage("a"),
    )


async def test_of_an_active_run_it_is_what_has_ended() -> None:
    go = trio.Event()
    model = ScriptedModel(["a", call("1", "look", city="Oslo")], ["b", go, "c"])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[look]), "hi")
        await trio.testing.wait_all_tasks_blocked()
        so_far = await runtime.messages(run.id)
        assert [message.content for message in so_far.messages] == ["hi", "a", "Oslo: snow"]
        assert so_far.next is None
        go.set()
        result = await run.wait()
        assert (await runtime.messages(run.id)).messages == result.messages


async def test_a_run_that_has_said_nothing_yet() -> None:
    store = MemoryStore()
    await store.create(record("r"))
    assert await read_messages(store, "r", 0) == MessagePage((), None)
    assert await read_messages(store, "r", 1) == MessagePage((), None)


async def test_no_place_in_a_log() -> None:
    with pytest.raises(ValueError, match=r"^after is 0, or what the page before says"):
        await read_messages(MemoryStore(), "r", -1)


async def test_more_than_is_read_at_once() -> None:
    store = MemoryStore()
    await store.create(record("r"))
    step = Entry.of(3001, StepFinish(at=0, step_number=1, usage=Usage()))
    await store.append([deltas("r", 1, 3000), Append("r", 1, [step]), finish("r", 3002)])
    assert await read_messages(store, "r", 0) == MessagePage((AssistantMessage("x" * 3000),), None)


async def test_what_a_newer_version_wrote_is_skipped_and_damage_is_told() -> None:
    store = MemoryStore()
    await store.create(record("r"))
    newer = Entry(1, b'{"type":"wink","at":0}', terminal=False)
    await store.append([Append("r", 1, [newer]), deltas("r", 2), finish("r", 3)])
    assert (await read_messages(store, "r", 0)).messages == (AssistantMessage("x"),)
    store._runs["r"].log.entries[1] = Entry(2, b"{", terminal=False)
    with pytest.raises(LogDamaged):
        await read_messages(store, "r", 0)


async def test_there_is_no_such_run(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime(store=FaultyStore(MemoryStore())) as runtime:
        with pytest.raises(UnknownRun):
            await runtime.messages("nope")
        run = await runtime.start(Agent(model=ScriptedModel(["a"])), "hi")
        await run.wait()
        assert isinstance(runtime.store, FaultyStore)
        runtime.store.away.add("read")
        with pytest.raises(StoreUnavailable):
            await runtime.messages(run.id)
        runtime.store.away.clear()
        await runtime.delete(run.id)
        with pytest.raises(CursorExpired):
            await runtime.messages(run.id)


def test_its_json_says_where_to_go_on() -> None:
    page = MessagePage((UserMessage("a"),), 7)
    assert msgspec.json.encode(page) == b'{"messages":[{"role":"user","content":"a"}],"next":7}'
