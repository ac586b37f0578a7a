"""Threads of a server: runs in them over either wire, and what is told of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from client_kit import answer
from proxy_kit import canned, open_proxy
from server_kit import StepModel, endless, open_server
from websocket_kit import open_websocket_server

from trio_agent import (
    AnyMessage,
    AssistantMessage,
    PageTurn,
    RunFinish,
    RunPage,
    RunStart,
    Runtime,
    Thread,
    ThreadBusy,
    ThreadPage,
    TurnPage,
    UnknownRun,
    UnknownThread,
    UserMessage,
)
from trio_agent.abc import Model
from trio_agent.client import Client, ServerError, open_client
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.testing import ScriptedModel

TOKENS = {"ann": "ann-has-a-long-token", "bob": "bob-has-another-one"}


@asynccontextmanager
async def open_both(model: Model, wire: str) -> AsyncIterator[tuple[Client, Runtime]]:
    opened = open_server(model) if wire == "http" else open_websocket_server(model)
    async with opened as server, open_client(server.url) as client:
        yield client, server.runtime


async def ended(client: Client, **start: Any) -> str:
    """Start a run in a thread, follow it to its end, and return its id."""
    run_id = await client.start(**{"prompt": "hi", "thread": "tea", **start})
    async with client.subscribe(run_id) as events:
        first, *_, last = [each.event async for each in events]
    assert isinstance(first, RunStart)
    assert first.thread == start.get("thread", "tea")
    assert isinstance(last, RunFinish)
    return run_id


@pytest.mark.parametrize("wire", ["http", "ws"])
class TestStart:
    async def test_it_goes_on_from_what_was_said(self, wire: str) -> None:
        model = ScriptedModel(*[[answer] for answer in ("A.", "B.", "C.", "D.")])
        async with open_both(model, wire) as (client, _):
            first = await ended(client, prompt="a")
            await ended(client, prompt="b")
            await ended(client, prompt="c", after=first)
            await ended(client, prompt="d", after="")
        read = [[getattr(each, "content", "") for each in r.messages] for r in model.requests]
        assert read == [["a"], ["a", "A.", "b"], ["a", "A.", "c"], ["d"]]

    async def test_a_thread_that_is_busy(self, wire: str) -> None:
        model = StepModel()
        async with open_both(model, wire) as (client, runtime):
            run_id = await client.start("a", thread="tea/é", idempotency_key="k")
            with pytest.raises(ThreadBusy) as caught:
                await client.start("b", thread="tea/é")
            assert (caught.value.thread, caught.value.run_id) == ("tea/é", run_id)
            assert await client.start("a", thread="tea/é", idempotency_key="k") == run_id
            other = await client.start("b", thread="tea/é", on_busy="cancel")
            run = await runtime.find(run_id)
            assert (run.status, run.thread) == ("cancelled", "tea/é")
            model.say("B.")
            model.finish()
            await (await runtime.find(other)).wait()

    @pytest.mark.parametrize(
        "start",
        [
            {"thread": ""},
            {"thread": "a\nb"},
            {"thread": "tea", "after": "nope"},
            {"after": ""},
            {"on_busy": "cancel"},
            {"thread": "tea", "on_busy": "queue"},
        ],
        ids=repr,
    )
    async def test_what_can_not_be_started(self, wire: str, start: Any) -> None:
        async with open_both(endless("x"), wire) as (client, runtime):
            with pytest.raises(ServerError) as caught:
                await client.start("a", **start)
            assert caught.value.code == "bad-request"
            assert runtime.statistics().active == 0


async def test_a_start_whose_answer_is_lost() -> None:
    """It is in its own way when it is asked for again, and is found all the same."""
    async with open_server(StepModel()) as server, open_proxy(server.port) as proxy:
        proxy.cuts = iter([0])
        async with open_client(proxy.url) as client:
            run_id = await client.start("a", thread="tea")
            assert (await server.runtime.thread("tea")).active == run_id
        assert proxy.connections == 2
        assert server.runtime.statistics().active == 1


@pytest.mark.parametrize(
    "name", ["tea", "a/..b", "100%", "a%2Fb", "Tee für zwei+1 & ?#", "x" * 256]
)
async def test_all_that_is_told(name: str) -> None:
    async with open_server(endless("x")) as server, open_client(server.url) as client:
        await ended(client, thread="another")
        first = await ended(client, thread=name, prompt="a")
        second = await ended(client, thread=name, prompt="b")
        thread = await client.thread(name)
        assert thread == await server.runtime.thread(name)
        assert (thread.thread, thread.head, thread.turns) == (name, second, 2)
        runs = await client.runs(thread=name, limit=1)
        listed = [(run.id, run.thread, run.follows) for run in runs.runs]
        assert listed == [(second, name, first)]
        runs = await client.runs(thread=name, before=runs.next)
        assert [(run.id, run.follows) for run in runs.runs] == [(first, None)]
        assert await client.runs(thread=name, before=runs.next) == RunPage((), None)
        info = await client.info(second)
        assert (info["thread"], info["follows"]) == (name, first)

        page = await client.threads(limit=1)
        assert page.threads == (thread,)
        page = await client.threads(before=page.next)
        assert [each.thread for each in page.threads] == ["another"]
        assert await client.threads(before=page.next) == ThreadPage((), None)

        whole = (
            *(UserMessage("a"), AssistantMessage("x")),
            *(UserMessage("b"), AssistantMessage("x")),
        )
        by = (PageTurn(first, None, 2), PageTurn(second, first, 2))
        assert await client.thread_messages(name) == TurnPage(whole, by, None)
        page = await client.thread_messages(name, last=first)
        assert page == TurnPage(whole[:2], by[:1], None)
        await client.delete_thread(name)
        for ask in (client.thread, client.thread_messages, client.delete_thread):
            with pytest.raises(UnknownThread) as caught:
                await ask(name)
            assert caught.value.thread == name
        assert (await client.runs(thread=name)).runs == ()


async def test_a_long_thread_page_by_page() -> None:
    async with open_server(endless("x")) as server, open_client(server.url) as client:
        for _ in range(120):
            await (await server.start(thread="tea")).wait()
        said: tuple[AnyMessage, ...] = ()
        page = await client.thread_messages("tea")
        while page.next is not None:
            said = page.messages + said
            page = await client.thread_messages("tea", last=page.next)
        assert page.messages + said == (UserMessage("hi"), AssistantMessage("x")) * 120


async def test_a_thread_that_is_busy_stays() -> None:
    model = StepModel()
    async with open_server(model) as server, open_client(server.url) as client:
        run_id = await client.start("a", thread="tea")
        assert (await client.thread("tea")).active == run_id
        assert await client.thread_messages("tea") == TurnPage((), (), None)
        with pytest.raises(ThreadBusy) as caught:
            await client.delete_thread("tea")
        assert (caught.value.thread, caught.value.run_id) == ("tea", run_id)


async def test_strangers() -> None:
    guard = Guard(bearer_tokens(TOKENS))
    async with (
        open_server(endless("x"), guard=guard) as server,
        open_client(server.url, token=TOKENS["ann"]) as ann,
        open_client(server.url, token=TOKENS["bob"]) as bob,
    ):
        run_id = await ended(ann)
        for ask in (bob.thread, bob.thread_messages, bob.delete_thread):
            with pytest.raises(UnknownThread):
                await ask("tea")
        assert await bob.threads() == ThreadPage((), None)
        assert await bob.runs(thread="tea") == RunPage((), None)
        with pytest.raises(UnknownRun):
            await bob.runs(thread="tea", before=run_id)
        await ended(bob)
        assert (await ann.thread("tea")).head == run_id


@pytest.mark.parametrize("name", ["", ".", "..", "a/../b", "./"])
async def test_names_that_would_be_other_places(name: str) -> None:
    async with canned() as (url, requests), open_client(url + "/agents") as client:
        for ask in (client.thread, client.thread_messages, client.delete_thread):
            with pytest.raises(UnknownThread):
                await ask(name)
        assert requests == []


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda client: client.threads(before="tea"), "before is what the page"),
        (lambda client: client.threads(limit=0), "limit is a number"),
        (lambda client: client.thread_messages("tea", last="nope"), "has no turn in the thread"),
    ],
)
async def test_what_a_server_refuses(ask: Callable[[Client], Any], words: str) -> None:
    async with open_server(endless("x")) as server, open_client(server.url) as client:
        await ended(client)
        with pytest.raises(ServerError, match=words) as caught:
            await ask(client)
        assert caught.value.code == "bad-request"


THREAD = {"thread": "t", "head": "r", "active": None, "turns": 1, "size": 9, "updatedAt": 7}


async def test_what_a_newer_server_adds() -> None:
    page = {**THREAD, "messages": [], "pageTurns": [], "next": None, "title": "T"}
    async with canned(*[answer(200, page)] * 2) as (url, asked), open_client(url) as client:
        assert await client.thread("t") == Thread("t", "r", None, 1, 9, 7)
        assert await client.thread_messages("t") == TurnPage((), (), None)
    # How it stands is told without what was said.
    assert [each.split()[1] for each in asked] == [b"/threads/t?messages=0", b"/threads/t"]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda client: client.thread("t"), {**THREAD, "turns": "many"}),
        (lambda client: client.thread("t"), {"x": "x" * 2000}),
        (lambda client: client.threads(), {"threads": [THREAD, {}], "next": None}),
        *(
            (lambda client: client.thread_messages("t"), {**THREAD, **page})
            for page in (
                {"messages": [{"role": "x"}], "pageTurns": [], "next": None},
                {"messages": [], "pageTurns": [], "next": 7},
                {"messages": [], "pageTurns": [{"runId": "r"}], "next": None},
                {"messages": [], "next": None},
            )
        ),
    ],
)
async def test_what_a_server_should_not_send(
    ask: Callable[[Client], Any], said: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent.client._client.MAX_TRANSCRIPT", 1000)
    async with canned(answer(200, said)) as (url, _), open_client(url) as client:
        with pytest.raises(ServerError) as caught:
            await ask(client)
        assert caught.value.code == "bad-response"
