"""Conversations over servers of their own processes, which are killed in the middle of an answer.

What was said is heard by the next run, once, and nobody speaks in between.
"""

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from place_kit import STORES, Place
from process_kit import Viewers
from record_kit import made
from store_kit import finish

from trio_agent import (
    Agent,
    AssistantMessage,
    RunContinued,
    RunFinish,
    SQLiteStore,
    TextDelta,
    ThreadBusy,
    UserMessage,
    ValkeyStore,
    open_runtime,
)
from trio_agent._log.plain import encode_json
from trio_agent.abc import Append, Appended, Store
from trio_agent.client import Client
from trio_agent.testing import ScriptedModel

TALK = "talk/ä"


async def say(client: Client, prompt: str, **more: Any) -> str:
    return await client.start(prompt, agent="hearing", thread=TALK, **more)


async def until(client: Client, run_id: str, *, said: str = "") -> str:
    """Watch a run until it has said this, or to its end; return what it said."""
    text = ""
    async with client.subscribe(run_id) as events:
        async for event in events:
            if isinstance(event.event, TextDelta):
                text += event.event.delta
            if said and text.endswith(said):
                break
    return text


async def answers(client: Client) -> list[str]:
    """Return what the model has said in the thread."""
    found: list[str] = []
    last: str | None = None
    while True:
        page = await client.thread_messages(TALK, last=last)
        found[:0] = [m.content for m in page.messages if isinstance(m, AssistantMessage)]
        if (last := page.next) is None:
            return found


async def test_two_messages_at_once(place: Place) -> None:
    """From two servers: one of them is taken, each time, and hears all that was said before."""
    for number in range(10):
        started: list[str] = []
        refused: list[str] = []

        async def try_it(client: Client) -> None:
            try:
                started.append(await say(client, "stay"))  # noqa: B023
            except ThreadBusy as busy:
                refused.append(busy.run_id)  # noqa: B023

        async with trio.open_nursery() as nursery:
            for way in (place.first, place.second):
                nursery.start_soon(try_it, way.http)
        assert refused == started
        [run_id] = started
        assert (await place.second.http.thread(TALK)).active == run_id
        heard = f"{2 * number + 1} messages, the last: stay"
        assert await until(place.second.http, run_id, said="stay") == heard
        await place.second.http.cancel(run_id)
        await until(place.first.http, run_id)
    assert (await place.first.http.thread(TALK)).turns == 10
    assert await answers(place.second.http) == [
        f"{2 * number + 1} messages, the last: stay" for number in range(10)
    ]


async def test_the_newer_message_wins(place: Place) -> None:
    """Whoever is active at the other server is cancelled, and what it said was said."""
    first = await say(place.first.http, "stay")
    await until(place.first.http, first, said="stay")
    second = await say(place.second.http, "and now", on_busy="cancel")
    assert await until(place.first.http, second) == "3 messages, the last: and now"
    assert (await place.second.http.info(first))["status"] == "cancelled"
    assert (await place.second.http.info(second))["thread"] == TALK


async def test_killed_in_the_middle_of_an_answer(place: Place) -> None:
    """The run goes on behind what was said before it; and who comes next hears it once."""
    await until(place.first.http, await say(place.first.http, "one"))
    group = Viewers(place.second.http)
    viewer = group.add("key", "", "hearing")
    prompt = " ".join(f"word{number}" for number in range(60))
    viewer.run_id = await say(place.first.http, prompt, idempotency_key="key")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(viewer.follow, place.second.http)
        await group.until_moment([viewer], 10)
        await place.replace()
        # Whoever asks again meanwhile finds it, wherever it is by now.
        assert await say(place.second.http, prompt, idempotency_key="key") == viewer.run_id
    assert await place.check(viewer) == "stop"
    said = [event.event for event in viewer.events]
    assert [e.reason for e in said if isinstance(e, RunContinued)] == ["worker-lost"]
    assert isinstance(end := said[-1], RunFinish)
    assert end.run.text == f"3 messages, the last: {prompt}"
    last = await say(place.second.http, "three")
    assert await until(place.second.http, last) == "5 messages, the last: three"
    assert (await place.second.http.thread(TALK)).turns == 3


async def test_a_run_that_waits_has_its_thread(place: Place) -> None:
    """However often servers are killed meanwhile; and it can be cancelled for a newer message."""
    http = place.second.http
    run_id = await place.first.http.start("go", agent="asking", thread=TALK)
    while (await http.info(run_id))["status"] != "waiting":
        pass
    await place.replace()
    with pytest.raises(ThreadBusy) as caught:
        await say(http, "me")
    assert caught.value.run_id == run_id
    newer = await say(http, "me", on_busy="cancel")
    # The prompt; what the model said, and its two calls; and this.
    assert await until(http, newer) == "5 messages, the last: me"
    assert (await http.info(run_id))["status"] == "cancelled"


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """One that outlives its servers."""
    if request.param == "valkey":
        return ValkeyStore(request.getfixturevalue("valkey").url)
    return SQLiteStore(tmp_path / "runs.db")


async def add_turns(store: Store, count: int) -> None:
    """Let so many runs follow each other, as far as the store is concerned."""
    head: str | None = None
    for number in range(count):
        messages = UserMessage(f"prompt {number}"), AssistantMessage(f"answer {number}")
        run_id = store.new_run_id(None, "t")
        record = attrs.evolve(made(run_id=run_id), thread="t", follows=head, head=head)
        assert (await store.create(record)).lease is not None
        [end] = finish(run_id, 1).entries
        append = Append(run_id, 1, [end], turn=encode_json(messages))
        assert await store.append([append]) == [Appended.COMMITTED]
        head = run_id


async def test_a_thousand_turns(store: Store) -> None:
    """Each run hears all of them, and what it keeps is its own."""
    async with store.open():
        await add_turns(store, 1000)
    model = ScriptedModel(["one"], ["two"])
    agent = Agent(name="hearing", model=model)
    async with open_runtime(store=store) as runtime:
        for number in range(2):
            before = (await runtime.thread("t")).size
            run = await runtime.start(agent, "and now", thread="t")
            result = await run.wait()
            heard = model.requests[number].messages
            assert len(heard) == 2 * (1000 + number) + 1
            assert result.messages[:-1] == heard
            assert [m.content for m in heard[:2]] == ["prompt 0", "answer 0"]
            assert (await store.info(run.id)).size < 2000
            assert (await runtime.thread("t")).size < before + 200
            assert (await (await runtime.find(run.id)).wait()).messages == result.messages
        last: str | None = None
        pages = []
        while (page := await runtime.thread_messages("t", last=last)).next is not None:
            pages.append(page)
            last = page.next
        assert sum(len(each.messages) for each in [*pages, page]) == 2 * 1002
