"""What is asked of a server, and what comes of it."""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from client_kit import answer
from proxy_kit import canned
from server_kit import StepModel, open_server, talking_model
from websocket_kit import open_websocket_server

from trio_agent import (
    Agent,
    AnyMessage,
    AssistantMessage,
    CancelAfter,
    CursorExpired,
    File,
    ModelError,
    ModelFinished,
    ModelSwitch,
    Result,
    RunError,
    RunFailed,
    RunPage,
    Runtime,
    SystemMessage,
    Text,
    ToolMessage,
    ToolRequest,
    UnknownRun,
    Usage,
    UserMessage,
)
from trio_agent.abc import Model, ModelFinish, SwitchPart
from trio_agent.client import Client, ServerError, open_client
from trio_agent.testing import ScriptedModel, call


async def test_starting_with_everything() -> None:
    agents = [Agent(name=name, model=talking_model("x")) for name in ("one", "two")]
    async with open_server(*agents) as server, open_client(server.url) as client:
        ids = [
            await client.start(
                "now",
                messages=[UserMessage("before")],
                agent="two",
                on_disconnect=CancelAfter(30),
                metadata={"n": 1},
                idempotency_key="k",
            )
            for _ in range(2)
        ]
        assert ids[0] == ids[1]
        info = await server.runtime.store.info(ids[0])
        assert (info.record.agent, info.record.metadata) == ("two", {"n": 1})
        [stored] = await server.runtime.store.read_private(ids[0], [0])
        private = json.loads(stored)
        assert [message["content"] for message in private["messages"]] == ["before", "now"]
        assert private["onDisconnect"] == 30
        with pytest.raises(ServerError):
            await client.start("x", agent="nobody")
        with pytest.raises(ServerError) as caught:
            await client.start()
        assert caught.value.status in (400, 422)


@asynccontextmanager
async def open_both(model: Model, wire: str) -> AsyncIterator[tuple[Client, Runtime]]:
    opened = open_server(model) if wire == "http" else open_websocket_server(model)
    async with opened as server, open_client(server.url) as client:
        yield client, server.runtime


@pytest.mark.parametrize("wire", ["http", "ws"])
class TestMessages:
    async def test_files_and_all_else_that_is_said(self, wire: str) -> None:
        data = bytes(range(256)) * 8_000
        messages: list[AnyMessage] = [
            UserMessage((Text("look"), File("image/png", data=data, name="a.png"))),
            AssistantMessage("", (ToolRequest("c", "t", {"a": 1}),), "hm"),
            ToolMessage("c", "r", "error"),
            UserMessage((File("image/*", url="https://example.com/b"), Text("and?"))),
        ]
        model = ScriptedModel(["one"], ["two"])
        async with open_both(model, wire) as (client, runtime):
            first = await client.start(messages=messages)
            await (await runtime.find(first)).wait()
            assert model.requests[0].messages == tuple(messages)
            blob = f"{first}/{hashlib.sha256(data).hexdigest()}"
            again = UserMessage((File("image/png", blob=blob, name="a.png"), Text("look")))
            await (await runtime.find(await client.start(messages=[again]))).wait()
            [message] = model.requests[1].messages
            assert isinstance(message, UserMessage)
            assert message.content[0] == File("image/png", data=data, name="a.png")

    async def test_provider_stays_here(self, wire: str) -> None:
        kept = {"openai": {"signature": "secret"}}
        model = ScriptedModel(["one"])
        async with open_both(model, wire) as (client, runtime):
            before = AssistantMessage("a", (), "hm", kept)
            run_id = await client.start("hi", messages=[before])
            await (await runtime.find(run_id)).wait()
            assert before.provider == kept
            said = (AssistantMessage("a", (), "hm"), UserMessage("hi"))
            assert model.requests[0].messages == said

    async def test_too_large(self, wire: str) -> None:
        async with open_both(StepModel(), wire) as (client, runtime):
            for size in (7 << 20, 30 << 20):
                file = File("image/png", data=bytes(size))
                with pytest.raises(ServerError) as caught:
                    await client.start(messages=[UserMessage((file,))])
                assert caught.value.code == "too-large"
            assert runtime.statistics().active == 0

    async def test_what_is_new_in_a_stream(self, wire: str) -> None:
        switch = SwitchPart("one", "two", "connect", "no connection")
        finish = ModelFinish("tool-calls", Usage(10, 2, 12, 8, 1), "two", {"x": {"secret": 1}})
        script: Any = [[switch, "hi", call("c", "t"), finish], [ModelError("odd", "no more")]]
        async with open_both(ScriptedModel(*script), wire) as (client, _):
            async with client.subscribe(await client.start("hi")) as subscription:
                received = [each async for each in subscription]
            assert not any("secret" in each.data for each in received)
            kinds = {type(each.event): each.event for each in received}
            switched, finished, failed = map(kinds.get, (ModelSwitch, ModelFinished, RunError))
            assert isinstance(switched, ModelSwitch)
            assert (switched.from_, switched.to) == ("one", "two")
            assert isinstance(finished, ModelFinished)
            assert (finished.model, finished.usage) == ("two", Usage(10, 2, 12, 8, 1))
            assert isinstance(failed, RunError)
            assert failed.usage == Usage(10, 2, 12, 8, 1)


async def test_what_came_of_a_run() -> None:
    go = trio.Event()
    scripts = [["a", go, ModelFinish("stop", Usage(1, 2, 3))], [ModelError("odd", "it\nbroke")]]
    model = ScriptedModel(*scripts)
    async with open_server(model) as server, open_client(server.url) as client:
        run = await server.start()
        assert await client.result(run.id) is None
        assert await client.messages(run.id) == (UserMessage("hi"),)
        with pytest.raises(ServerError) as caught:
            await client.delete(run.id)
        assert (caught.value.status, caught.value.code) == (409, "run-active")
        go.set()
        own = await run.wait()
        assert await client.result(run.id) == own
        assert await client.messages(run.id) == own.messages
        failed = await server.start()
        with pytest.raises(RunFailed):
            await failed.wait()
        with pytest.raises(RunFailed) as refused:
            await client.result(failed.id)
        assert (refused.value.code, refused.value.result) == ("odd", None)
        assert refused.value.message.isprintable()
        assert await client.messages(failed.id) == (UserMessage("hi"),)
        await client.delete(run.id)
        for act in (client.result, client.messages, client.delete):
            with pytest.raises(CursorExpired):
                await act(run.id)
            with pytest.raises(UnknownRun):
                await act("no?pe")


async def test_an_answer_with_a_shape() -> None:
    came = {"text": "t", "steps": 2, "usage": {}, "output": None, "reason": "r"}
    ended = {"status": "stop", **came}
    page = {"messages": [{"role": "user", "content": "a"}], "next": None}
    async with (
        canned(answer(200, ended), answer(200, page)) as (url, _),
        open_client(url) as client,
    ):
        said = (UserMessage("a"),)
        assert await client.result("r") == Result("r", "t", 2, "stop", Usage(), said, "r", None)


async def test_listing_runs() -> None:
    async with (
        open_server(ScriptedModel(*[["a"]] * 3)) as server,
        open_client(server.url) as client,
    ):
        runs = [await server.start(owner="ann", metadata={"n": n}) for n in range(3)]
        for run in runs:
            await run.wait()
        first = await client.runs(limit=2)
        assert [(run.id, run.status, run.metadata) for run in first.runs] == [
            (runs[2].id, "stop", {"n": 2}),
            (runs[1].id, "stop", {"n": 1}),
        ]
        assert first.runs[0].owner is None
        second = await client.runs(before=first.next)
        assert [run.id for run in second.runs] == [runs[0].id]
        assert await client.runs(before=second.next) == RunPage((), None)
        with pytest.raises(UnknownRun):
            await client.runs(before="no&pe")


async def test_messages_page_by_page() -> None:
    said = [SystemMessage("x" * (1 << 20)), UserMessage("b")]
    async with open_server(talking_model("a")) as server, open_client(server.url) as client:
        run = await server.runtime.start(server.service.agents["agent"], messages=said)
        result = await run.wait()
        assert await client.messages(run.id) == result.messages


@pytest.mark.parametrize(
    ("pages", "most"),
    [
        ([{"messages": [], "next": 5}, {"messages": [], "next": 5}], 1000),
        ([{"messages": [{"role": "user", "content": "x" * 900}], "next": 5}, {}], 1000),
        ([{"messages": [{"role": "user", "content": "x" * 2000}], "next": None}], 1000),
        ([{"messages": [], "next": 5}], 10),
        ([{"messages": [{"role": "robot", "content": "x"}], "next": None}], 1000),
        ([{"messages": 1}], 1000),
    ],
)
async def test_pages_that_a_server_should_not_send(
    pages: list[object], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent.client._client.MAX_TRANSCRIPT", most)
    answers = [answer(200, page) for page in pages]
    async with canned(*answers) as (url, _), open_client(url) as client:
        with pytest.raises(ServerError) as caught:
            await client.messages("r")
        assert caught.value.code == "bad-response"


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.info("r"),
        lambda client: client.result("r"),
        lambda client: client.messages("r"),
        lambda client: client.runs(),
        lambda client: client.delete("r"),
        lambda client: client.blob("r", "0" * 64),
        lambda client: client.thread("tea"),
        lambda client: client.threads(),
        lambda client: client.thread_messages("tea"),
        lambda client: client.delete_thread("tea"),
    ],
)
async def test_what_can_not_be_asked_over_websocket(
    ask: Callable[[Client], Awaitable[object]],
) -> None:
    async with open_websocket_server(talking_model("a")) as server, open_client(server.url) as ws:
        with pytest.raises(ServerError) as caught:
            await ask(ws)
        assert caught.value.code == "not-supported"


async def test_options_and_limits() -> None:
    model = talking_model("a")
    allowed = {"allow_options": ["seed"], "allow_limits": ["maxTokens"]}
    async with open_server(model, **allowed) as server, open_client(server.url) as client:
        run_id = await client.start("x", options={"seed": 1}, limits={"max_tokens": 7})
        await (await server.runtime.find(run_id)).wait()
        assert model.requests[0].options == {"seed": 1}
        [private] = await server.runtime.store.read_private(run_id, [0])
        assert json.loads(private)["limits"]["max_tokens"] == 7
        with pytest.raises(ServerError) as caught:
            await client.start("x", options={"top_p": 1})
        assert caught.value.code == "not-allowed"
        with pytest.raises(ValueError, match=r"^there is no limit 'maxTokens'; there are: max_st"):
            await client.start("x", limits={"maxTokens": 7})
