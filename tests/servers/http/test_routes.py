"""The table of routes: what each says and takes, over real sockets."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import attrs
import httpx
import msgspec
import pytest
import trio
import trio.testing
from server_kit import (
    ALICE,
    BOB,
    TOKENS,
    Server,
    StepModel,
    endless,
    framed,
    get_weather,
    logged,
    open_server,
    talking_model,
    weather_model,
)
from starlette.types import ASGIApp, Receive, Scope, Send
from till_kit import asleep

from trio_agent import (
    Agent,
    AssistantMessage,
    CancelAfter,
    File,
    KeyReused,
    Limits,
    MemoryStore,
    Principal,
    Run,
    RuntimeLimits,
    StoreUnavailable,
    SystemMessage,
    Text,
    ToolMessage,
    ToolRequest,
    Usage,
    UserMessage,
    open_runtime,
)
from trio_agent.abc import Entry, Model, ModelFinish, Retention
from trio_agent.servers import Guard, Service, bearer_tokens, create_app
from trio_agent.testing import ScriptedModel, StoreProxy, call
from trio_agent.wire import event_schema

SSE = {"Accept": "text/event-stream"}
EVENT_STREAM = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}


class TestStart:
    async def test_json_answer(self) -> None:
        async with open_server(talking_model("hi")) as server:
            answer = await server.request(
                "POST", "/runs", body={"prompt": "x", "metadata": {"a": [1]}}
            )
            assert answer.status == 201
            view = answer.json
            assert answer.headers["location"] == f"/runs/{view['id']}"
            assert view["events"] == f"/runs/{view['id']}/events"
            assert view["agent"] == "agent"
            assert view["metadata"] == {"a": [1]}
            assert view["cursor"].startswith(view["id"] + ".")
            assert len(bytes.fromhex(view["id"])) == 16  # 128 random bits
            assert (await server.request("GET", answer.headers["location"])).status == 200

    async def test_stream_answer(self) -> None:
        async with open_server(talking_model("hi")) as server:
            answer = await server.request("POST", "/runs", SSE, {"prompt": "x"})
            assert answer.status == 200  # the one that readers of event streams accept
            assert answer.complete
            run_id = answer.headers["location"].removeprefix("/runs/")
            assert EVENT_STREAM.items() <= answer.headers.items()
            run = await server.runtime.find(run_id)
            assert answer.body == b"retry: 1000\n\n" + framed(await logged(run, server))

    async def test_tools_of_a_client(self) -> None:
        """Only where they are allowed, and as many as a model may be shown."""
        model = ScriptedModel(["Hi."], [call("c1", "look", where="here")], ["Done."])
        tool = {"name": "look", "parameters": {"type": "object", "properties": {}}}
        start = {"prompt": "x", "clientTools": [tool]}
        async with open_server(model) as server:
            answer = await server.request("POST", "/runs", body=start)
            assert (answer.status, answer.code) == (403, "not-allowed")
            body = {**start, "clientTools": []}
            assert (await server.request("POST", "/runs", SSE, body)).complete
        async with open_server(model, allow_client_tools=True) as server:
            many = [{"name": f"look{number}"} for number in range(65)]
            for tools in (many, [tool, tool], [{"name": "?"}], [{**tool, "url": "x"}], [{}]):
                answer = await server.request("POST", "/runs", body={**start, "clientTools": tools})
                assert (answer.status, answer.code) == (400, "bad-request")
            started = await server.request("POST", "/runs", body={**start, "retractable": False})
            run = await server.runtime.find(started.json["id"])
            await asleep(run)
            view = (await server.request("GET", f"/runs/{run.id}")).json
            assert [each["kind"] for each in view["waiting"]] == ["input"]
            said = {"callId": "c1", "output": "seen"}
            assert (
                await server.request("POST", f"/runs/{run.id}/answers", body=said)
            ).status == 200
            assert (await run.wait()).text == "Done."
            events = (await server.request("GET", f"/runs/{run.id}/events")).events
            assert events[0][1]["retractable"] is False

    async def test_prompt_reaches_the_model_behind_the_messages(self) -> None:
        model = talking_model("hi")
        async with open_server(model) as server:
            messages = [
                {"role": "user", "content": "a"},
                {
                    "role": "assistant",
                    "content": "",
                    "toolCalls": [{"id": "1", "name": "t", "input": {}}],
                },
                {"role": "tool", "toolCallId": "1", "content": "r"},
            ]
            body = {"messages": messages, "prompt": "b"}
            await server.request("POST", "/runs", SSE, body)
            contents = [getattr(message, "content", None) for message in model.requests[0].messages]
            assert contents == ["a", "", "r", "b"]

    @pytest.mark.parametrize(
        ("content", "place"),
        [
            ([{"type": "video"}], "$.messages[1].content[0].type"),
            ([{"type": "text", "text": 1}], "$.messages[1].content[0].text"),
            ([{"type": "file", "mediaType": "png", "data": "AAAA"}], "$.messages[1].content[0]"),
            ([{"type": "file", "mediaType": "a/*", "data": "AAAA"}], "$.messages[1].content[0]"),
            ([{"type": "file", "mediaType": "a/b", "url": "x"}], "$.messages[1].content[0]"),
            ([{"type": "image", "url": "data:a/b;base64,*"}], "$.messages[1].content[0]"),
            ([{"type": "image", "url": "data:a/b;base64,"}], "$.messages[1].content[0]"),
            ([{"type": "file", "mediaType": "a/b", "blob": "x"}], "$.messages[1].content[0]"),
            ([], "$.messages[1]"),
            (None, "$.messages[1].content"),
        ],
        ids=repr,
    )
    async def test_what_a_message_can_not_mean(self, content: object, place: str) -> None:
        async with open_server(endless("x")) as server:
            messages = [{"role": "user", "content": said} for said in ("hi", content)]
            answer = await server.request("POST", "/runs", body={"messages": messages})
            assert (answer.status, answer.code) == (400, "bad-request")
            assert answer.json["error"]["message"].endswith(f" - at `{place}`")
            assert server.runtime.statistics().active == 0

    async def test_messages_as_clients_of_openai_keep_them(self) -> None:
        model = talking_model("hi")
        async with open_server(model) as server:
            function = {"name": "t", "arguments": '{"a": 1}'}
            messages = [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "1", "type": "function", "function": function}],
                },
                {"role": "tool", "tool_call_id": "1", "content": "r"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "and this?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}},
                    ],
                },
            ]
            await server.request("POST", "/runs", SSE, {"messages": messages})
            assert model.requests[0].messages == (
                SystemMessage("Be brief."),
                UserMessage("hi"),
                AssistantMessage("", (ToolRequest("1", "t", {"a": 1}),)),
                ToolMessage("1", "r"),
                UserMessage((Text("and this?"), File("image/png", data=b"abc"))),
            )

    async def test_provider_is_neither_taken_nor_shown(self) -> None:
        secret = {"scripted": {"signature": "a secret"}}
        async with open_server(ScriptedModel([ModelFinish("stop", provider=secret)])) as server:
            message = {"role": "assistant", "content": "a", "provider": secret}
            answer = await server.request("POST", "/runs", body={"messages": [message]})
            assert answer.status == 400
            assert "provider is kept by the server" in answer.json["error"]["message"]
            streamed = await server.request("POST", "/runs", SSE, {"prompt": "x"})
            run_id = streamed.headers["location"].rpartition("/")[2]
            [message_] = (await (await server.runtime.find(run_id)).wait()).messages[1:]
            assert isinstance(message_, AssistantMessage)
            assert message_.provider == secret
            shown = await server.request("GET", f"/runs/{run_id}")
            listed = await server.request("GET", "/runs")
            for body in (streamed.body, shown.body, listed.body):
                assert b"signature" not in body

    async def test_options_and_limits(self) -> None:
        limits = Limits(max_tokens=100)
        model = ScriptedModel(*[["hi", ModelFinish("stop", Usage(1, 1, 2))]] * 2)
        agent = Agent(model=model, limits=limits, options={"seed": 1, "top_p": 1})
        allowed = {"allow_options": ["seed"], "allow_limits": ["maxTokens"]}
        async with open_server(agent, **allowed) as server:
            body = {"prompt": "x", "options": {"seed": 2}, "limits": {"maxTokens": 1}}
            key = {"Idempotency-Key": "k"}
            view = (await server.request("POST", "/runs", key, body)).json
            assert (await server.request("POST", "/runs", key, body)).json["id"] == view["id"]
            result = await (await server.runtime.find(view["id"])).wait()
            assert result.finish_reason == "budget"
            assert model.requests[0].options == {"seed": 2, "top_p": 1}
            for other in ({"seed": 3}, {}):
                body["options"] = other
                answer = await server.request("POST", "/runs", key, body)
                assert (answer.status, answer.code) == (422, "key-reused")

    @pytest.mark.parametrize(
        ("wanted", "status", "message"),
        [
            ({"options": {"seed": 1}}, 403, "allow it with --allow-option seed"),
            ({"limits": {"maxSteps": 1}}, 403, "allow it with --allow-limit maxSteps"),
            ({"limits": {"maxTokens": 101}}, 400, "at most 100 - at `$.limits.maxTokens`"),
            ({"limits": {"maxTokens": 0}}, 400, "'max_tokens' must be >= 1: 0"),
            ({"limits": {"maxTokens": 1.5}}, 400, "Expected `int | null`, got `float`"),
            ({"limits": {"maxTokens": "1"}}, 400, "at `$.limits[...]`"),
            ({"limits": []}, 400, "at `$.limits`"),
            ({"options": {"model": "x"}}, 400, "'model' is set by the agent and its model: remove"),
        ],
    )
    async def test_options_and_limits_that_are_not_taken(
        self, wanted: dict[str, Any], status: int, message: str
    ) -> None:
        agent = Agent(model=endless("x"), limits=Limits(max_tokens=100))
        allowed = {"allow_options": ["model"], "allow_limits": ["maxTokens"]}
        async with open_server(agent, **allowed) as server:
            answer = await server.request("POST", "/runs", body={"prompt": "x", **wanted})
            assert (answer.status, answer.code) == (
                status,
                "not-allowed" if status == 403 else "bad-request",
            )
            assert message in answer.json["error"]["message"]
            assert server.runtime.statistics().active == 0

    async def test_choice_of_agent(self) -> None:
        one, two = (Agent(name=name, model=talking_model(name)) for name in ("one", "two"))
        async with open_server(one, two) as server:
            assert (await server.request("POST", "/runs", body={"prompt": "x"})).json[
                "agent"
            ] == "one"
            body = {"prompt": "x", "agent": "two"}
            assert (await server.request("POST", "/runs", body=body)).json["agent"] == "two"
            answer = await server.request("POST", "/runs", body={"prompt": "x", "agent": "three"})
            assert (answer.status, answer.code) == (404, "unknown-agent")
            assert "one, two" in answer.json["error"]["message"]

    @pytest.mark.parametrize(
        ("wanted", "policy"),
        [
            ("continue", "continue"),
            ("cancel", "cancel"),
            (0, 0),
            (2.5, 2.5),
            (None, 7),
        ],
    )
    async def test_policies(self, wanted: object, policy: object) -> None:
        async with open_server(StepModel(), on_disconnect=CancelAfter(7)) as server:
            body = {"prompt": "x", "onDisconnect": wanted}
            answer = await server.request("POST", "/runs", body=body)
            # The run may be gone already: with 0, nobody watches from the start.
            [private] = await server.runtime.store.read_private(answer.json["id"], [0])
            assert json.loads(private)["onDisconnect"] == policy

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"null",
            b"[]",
            b"{}",
            b'{"prompt": 1}',
            b'{"prompt": "x", "unknown": 1}',
            b'{"prompt": "x", "onDisconnect": "later"}',
            b'{"prompt": "x", "onDisconnect": -1}',
            b'{"prompt": "x", "onDisconnect": true}',
            b'{"prompt": "x", "metadata": []}',
            b'{"prompt": "\xff"}',
            b'{"prompt": "\\ud800"}',
            b'{"prompt": "x", "metadata": {"x": 1e999}}',
            b'{"prompt": "x", "metadata": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
            b'{"messages": []}',
            b'{"messages": [{"role": "robot", "content": "x"}]}',
            b'{"messages": [{"role": "tool", "toolCallId": "1", "content": "x"}]}',
            b'{"prompt": "x", "metadata": {"x": "' + b"y" * 16384 + b'"}}',
        ],
        ids=lambda body: repr(body[:40]),
    )
    async def test_bad_bodies(self, body: bytes) -> None:
        async with open_server(StepModel()) as server:
            answer = await server.request(
                "POST", "/runs", {"Content-Type": "application/json"}, body
            )
            assert (answer.status, answer.code) == (400, "bad-request")
            assert server.runtime.statistics().active == 0

    @pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
    async def test_only_json(self, kind: str | None) -> None:
        async with open_server(StepModel()) as server:
            headers = {} if kind is None else {"Content-Type": kind}
            answer = await server.request("POST", "/runs", headers, b'{"prompt": "x"}')
            assert (answer.status, answer.code) == (415, "not-json")

    async def test_json_with_parameters(self) -> None:
        async with open_server(StepModel()) as server:
            headers = {"Content-Type": "Application/JSON; charset=utf-8"}
            answer = await server.request("POST", "/runs", headers, b'{"prompt": "x"}')
            assert answer.status == 201

    async def test_idempotency_key(self) -> None:
        async with open_server(StepModel()) as server:
            first, again, other = [
                await server.request("POST", "/runs", {"Idempotency-Key": key}, {"prompt": "x"})
                for key in ("k", "k", "l")
            ]
            assert first.status == again.status == 201
            assert first.json["id"] == again.json["id"] != other.json["id"]
            assert server.runtime.statistics().active == 2
            for key in ("", "k" * 256):
                headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
                async with await server.connect() as client:
                    await client.stream.send_all(
                        b"POST /runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n"
                        + "".join(f"{k}: {v}\r\n" for k, v in headers.items()).encode()
                        + b'\r\n{"prompt":""}'
                    )
                    client._expect("POST")
                    answer = await client.receive_body(await client.receive_head())
                    assert (answer.status, answer.code) == (400, "bad-request")

    async def test_two_at_once_with_one_key_are_one_run(self) -> None:
        async with open_server(StepModel()) as server, server.http() as http:
            ids = set()

            async def start() -> None:
                headers = {"Idempotency-Key": "k"}
                answer = await http.post("/runs", json={"prompt": "x"}, headers=headers)
                ids.add(answer.json()["id"])

            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(start)
            assert len(ids) == 1

    async def test_full_server(self) -> None:
        model = StepModel()
        async with open_server(model, limits=RuntimeLimits(max_streams=1)) as server:
            first = await server.request("POST", "/runs", body={"prompt": "x"})
            for answer in (
                await server.request("POST", "/runs", body={"prompt": "x"}),
                await server.request("GET", "/stream?prompt=x"),
            ):
                assert (answer.status, answer.code) == (503, "limit-exceeded")
                assert int(answer.headers["retry-after"]) > 0
            await server.request("POST", f"/runs/{first.json['id']}/cancel")
            assert (await server.request("POST", "/runs", body={"prompt": "x"})).status == 201

    async def test_draining_server(self) -> None:
        model = StepModel()
        async with open_server(model) as server, trio.open_nursery() as nursery:
            assert (await server.request("GET", "/health/ready")).status == 200
            await server.start()
            nursery.start_soon(server.runtime.drain, 1000)
            await trio.testing.wait_all_tasks_blocked()
            answer = await server.request("POST", "/runs", body={"prompt": "x"})
            assert (answer.status, answer.code) == (503, "limit-exceeded")
            answer = await server.request("GET", "/health/ready")
            assert (answer.status, answer.code) == (503, "draining")
            assert (await server.request("GET", "/health/live")).status == 200
            model.finish()

    async def test_store_that_is_away(self) -> None:
        async with open_server(StepModel()) as server:

            async def create(record: object) -> None:
                raise StoreUnavailable("it is away")

            server.runtime.store.create = create  # type: ignore[assignment, method-assign]
            answer = await server.request("POST", "/runs", body={"prompt": "x"})
            assert (answer.status, answer.code) == (503, "store-unavailable")
            assert "retry-after" in answer.headers

    async def test_key_of_another_request(self) -> None:
        async with open_server(StepModel()) as server:

            async def start(*args: object, **kwargs: object) -> None:
                raise KeyReused("this key belongs to another request")

            server.runtime.start = start  # type: ignore[assignment, method-assign]
            for answer in (
                await server.request("POST", "/runs", {"Idempotency-Key": "k"}, {"prompt": "y"}),
                await server.request("GET", "/stream?prompt=y&key=k", SSE),
            ):
                assert (answer.status, answer.code) == (422, "key-reused")


class TestRuns:
    async def test_list_is_paged_newest_first(self) -> None:
        async with open_server(endless("x")) as server:
            ids = [(await server.start()).id for _ in range(5)]
            ids.reverse()
            whole = (await server.request("GET", "/runs")).json
            assert [run["id"] for run in whole["runs"]] == ids
            assert whole["next"] == ids[-1]
            page = (await server.request("GET", "/runs?limit=2")).json
            assert [run["id"] for run in page["runs"]] == ids[:2]
            rest = (await server.request("GET", f"/runs?limit=4&before={page['next']}")).json
            assert [run["id"] for run in rest["runs"]] == ids[2:]
            end = (await server.request("GET", f"/runs?before={rest['next']}")).json
            assert end == {"runs": [], "next": None}

    async def test_only_an_empty_page_is_the_last(self) -> None:
        """A store may give less than what was asked for."""

        class Sparing(MemoryStore):
            async def find(
                self, owner: str | None, before: str | None, limit: int, thread: str | None = None
            ) -> Any:
                return await super().find(owner, before, min(limit, 2), thread)

        async with open_server(endless("x"), store=Sparing()) as server:
            ids = [(await server.start()).id for _ in range(5)]
            found, path = [], "/runs"
            while (page := (await server.request("GET", path)).json)["next"] is not None:
                found += [run["id"] for run in page["runs"]]
                path = f"/runs?before={page['next']}"
            assert found == ids[::-1]

    @pytest.mark.parametrize("limit", ["0", "501", "-1", "x", "", "1" * 20, "²"])
    async def test_bad_limits(self, limit: str) -> None:
        async with open_server(StepModel()) as server, server.http() as http:
            answer = await http.get("/runs", params={"limit": limit})
            assert answer.status_code == 400
            assert answer.json()["error"]["message"] == "limit is a number from 1 to 500"

    async def test_page_behind_an_unknown_run(self) -> None:
        async with open_server(StepModel()) as server:
            answer = await server.request("GET", "/runs?before=nope")
            assert (answer.status, answer.code) == (404, "unknown-run")

    async def test_delete(self) -> None:
        model = StepModel()
        async with open_server(model) as server:
            run = await server.start()
            answer = await server.request("DELETE", f"/runs/{run.id}")
            assert (answer.status, answer.code) == (409, "run-active")
            model.finish()
            await run.wait()
            assert (await server.request("DELETE", f"/runs/{run.id}")).status == 204
            for method, path in [
                ("DELETE", f"/runs/{run.id}"),
                ("GET", f"/runs/{run.id}"),
                ("GET", f"/runs/{run.id}/events"),
                ("POST", f"/runs/{run.id}/cancel"),
            ]:
                answer = await server.request(method, path)
                assert (answer.status, answer.code) == (410, "cursor-expired")

    async def test_agents_and_schema(self) -> None:
        agent = Agent(name="w", model=StepModel(), tools=[get_weather], instructions="secret")
        async with open_server(agent, Agent(name="x", model=StepModel())) as server:
            assert (await server.request("GET", "/agents")).json == {
                "agents": [{"name": "w", "tools": ["get_weather"]}, {"name": "x", "tools": []}]
            }
            assert (await server.request("GET", "/schema")).json == json.loads(
                msgspec.json.encode(event_schema())
            )

    async def test_unknown_run(self) -> None:
        async with open_server(StepModel()) as server:
            for method, path in [
                ("GET", "/runs/nope"),
                ("DELETE", "/runs/nope"),
                ("GET", "/runs/nope/events"),
                ("GET", "/runs/%00%ff/events"),
                ("POST", "/runs/nope/cancel"),
                ("GET", "/stream/nope/resume?position=0"),
                ("GET", "/stream/nope/resume?position=x"),
            ]:
                answer = await server.request(method, path)
                assert (answer.status, answer.code) == (404, "unknown-run"), path

    async def test_head(self) -> None:
        async with open_server(StepModel()) as server:
            run = await server.start(on_disconnect="cancel")
            for path in ["/runs", f"/runs/{run.id}", f"/runs/{run.id}/events", "/agents"]:
                async with await server.connect() as client:
                    await client.send("HEAD", path)
                    answer = await client.receive_body(await client.receive_head())
                    assert (answer.status, answer.body, answer.complete) == (200, b"", True)
            # Who only asks is no viewer, so that his leaving cancels nothing.
            await trio.testing.wait_all_tasks_blocked()
            assert run.status == "active"
            assert run.cancel_reason is None


class TestOwners:
    async def test_owners_see_their_runs_only(self) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(endless("x"), guard=guard) as server:
            body = {"prompt": "x"}
            run_id = (await server.request("POST", "/runs", ALICE, body)).json["id"]
            run = await server.runtime.find(run_id)
            await run.wait()
            bobs = (await server.request("POST", "/runs", BOB, body)).json["id"]
            cursor = {"Last-Event-ID": f"{run_id}.{run.cursor.epoch}.1"}
            for method, path, headers in [
                ("GET", f"/runs/{run_id}", {}),
                ("GET", f"/runs/{run_id}/events", {}),
                ("GET", f"/runs/{run_id}/events", cursor),
                ("GET", f"/runs?before={run_id}", {}),
                ("DELETE", f"/runs/{run_id}", {}),
                ("POST", f"/runs/{run_id}/cancel", {}),
                ("GET", f"/stream/{run_id}/resume?position=0", {}),
                ("GET", "/stream?prompt=x", cursor),
            ]:
                answer = await server.request(method, path, {**BOB, **headers})
                assert (answer.status, answer.code) == (404, "unknown-run"), path
                # Word for word what he gets about a run that never was.
                nobody = answer.body.replace(run_id.encode(), b"nope")
                unknown = await server.request(
                    method,
                    path.replace(run_id, "nope"),
                    {**BOB, **dict.fromkeys(headers, "nope.e.1")},
                )
                assert unknown.body == nobody
            for who, runs in [(ALICE, [run_id]), (BOB, [bobs])]:
                listed = (await server.request("GET", "/runs", who)).json["runs"]
                assert [run["id"] for run in listed] == runs
            for method, path in [
                ("GET", f"/runs/{run_id}/events"),
                ("POST", f"/runs/{run_id}/cancel"),
            ]:
                assert (await server.request(method, path, ALICE)).status == 200
            assert (await server.request("DELETE", f"/runs/{run_id}", ALICE)).status == 204

    async def test_idempotency_key_is_per_owner(self) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(endless("x"), guard=guard) as server:
            ids = [
                (
                    await server.request(
                        "POST", "/runs", {**who, "Idempotency-Key": "k"}, {"prompt": "x"}
                    )
                ).json["id"]
                for who in (ALICE, BOB, ALICE)
            ]
            assert ids[0] == ids[2] != ids[1]


class TestEvents:
    async def test_whole_stream(self) -> None:
        agent = Agent(model=weather_model(), tools=[get_weather])
        async with open_server(agent) as server:
            run = await server.start()
            first = await server.request("GET", f"/runs/{run.id}/events")
            again = await server.request("GET", f"/runs/{run.id}/events?after=0")
            assert first.status == 200
            assert first.complete
            assert EVENT_STREAM.items() <= first.headers.items()
            assert first.body == again.body
            events = await logged(run, server)
            assert first.body == b"retry: 1000\n\n" + framed(events)
            assert b"event:" not in first.body
            # What is in the data is what the log has, to the byte.
            assert [data for _, data in events] == re.findall(rb"data: (.*)\n\n", first.body)
            types = [event["type"] for _, event in first.events]
            assert types[0] == "run-start"
            assert types[-1] == "run-finish"
            assert types.count("tool-result") == 1

    async def test_first_event_before_the_model_is_called(self) -> None:
        opened = trio.Event()

        class Slow(StepModel):
            @asynccontextmanager
            async def open(self) -> AsyncIterator[Model]:  # type: ignore[override]
                await opened.wait()
                yield self

        model = Slow()
        async with open_server(model) as server, await server.connect() as client:
            await client.send("GET", "/stream?prompt=x")
            answer = await client.receive_body(await client.receive_head(), until=b"run-start")
            assert answer.body.startswith(b"retry: 1000\n\nid: ")
            assert answer.events[0][1]["type"] == "run-start"
            assert answer.events[0][0].endswith(".1")
            assert model.asked == 0
            opened.set()
            model.finish()
            await client.receive_body(answer)
            assert model.asked == 1

    async def test_live_and_replay_have_the_same_ids(self) -> None:
        model = StepModel()
        async with open_server(model) as server, await server.connect() as live:
            run = await server.start()
            answer = await live.watch(f"/runs/{run.id}/events")
            for word in ["a", "b", "c"]:
                model.say(word)
                await live.receive_body(answer, until=f'"delta":"{word}"'.encode())
            model.finish()
            await live.receive_body(answer)
            assert answer.complete
            replay = await server.request("GET", f"/runs/{run.id}/events")
            assert replay.body == answer.body

    async def test_everything_pending_is_one_chunk(self) -> None:
        async with open_server(endless(*"abcdefgh")) as server:
            run = await server.start()
            await run.wait()
            events = framed(await logged(run, server))
            async with await server.connect() as client:
                await client.stream.send_all(client.encode("GET", f"/runs/{run.id}/events"))
                raw = b""
                while not raw.endswith(b"0\r\n\r\n"):
                    raw += await client.stream.receive_some()
            assert b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(events), events) in raw

    async def test_resume_from_everywhere(self) -> None:
        agent = Agent(model=weather_model(), tools=[get_weather])
        async with open_server(agent) as server:
            run = await server.start()
            await run.wait()
            events = await logged(run, server)
            for seen, (cursor, _) in enumerate(events[:-1], 1):
                rest = b"retry: 1000\n\n" + framed(events[seen:])
                path = f"/runs/{run.id}/events"
                answers = [
                    await server.request("GET", path, {"Last-Event-ID": cursor}),
                    await server.request("GET", f"{path}?after={cursor}"),
                    # Last-Event-ID wins: it is the browser's, `after` is the page's of long ago.
                    await server.request("GET", f"{path}?after=0", {"Last-Event-ID": cursor}),
                    await server.request("GET", f"{path}?after=junk", {"Last-Event-ID": cursor}),
                    await server.request("GET", f"/stream/{run.id}/resume?position={seen}"),
                    await server.request(
                        "GET", f"/stream/{run.id}/resume?position=0", {"Last-Event-ID": cursor}
                    ),
                    await server.request("GET", "/stream?prompt=x", {"Last-Event-ID": cursor}),
                ]
                assert {answer.status for answer in answers} == {200}
                assert {answer.body for answer in answers} == {rest}
            assert server.runtime.statistics().retained == 1

    async def test_at_the_end_of_a_finished_run(self) -> None:
        async with open_server(talking_model("x")) as server:
            run = await server.start()
            await run.wait()
            cursor, tail = str(run.cursor), run.cursor.offset
            for path, headers in [
                (f"/runs/{run.id}/events", {"Last-Event-ID": cursor}),
                (f"/runs/{run.id}/events?after={cursor}", {}),
                (f"/stream/{run.id}/resume?position={tail}", {}),
                ("/stream?prompt=x", {"Last-Event-ID": cursor}),
            ]:
                answer = await server.request("GET", path, headers)
                assert (answer.status, answer.body) == (204, b"")

    async def test_at_the_end_of_an_active_run(self) -> None:
        model = StepModel()
        async with open_server(model) as server, await server.connect() as client:
            run = await server.start()
            await trio.testing.wait_all_tasks_blocked()
            cursor = str(run.cursor)
            answer = await client.watch(f"/runs/{run.id}/events?after={cursor}")
            model.finish()
            await client.receive_body(answer)
            assert [event["type"] for _, event in answer.events] == [
                "model-finish",
                "step-finish",
                "run-finish",
            ]

    async def test_bad_cursors(self) -> None:
        async with open_server(endless("x")) as server:
            run, other = await server.start(), await server.start()
            await run.wait()
            await other.wait()
            tail, epoch = run.cursor.offset, run.cursor.epoch
            for cursor, status in [
                ("junk", 400),
                ("1", 400),
                ("-1", 400),
                (f"{run.id}.{epoch}", 400),
                (f"{run.id}.{epoch}.-1", 400),
                (f"{run.id}.{epoch}.01", 400),
                (f"{run.id}.{epoch}.1.1", 400),
                (f"{run.id}.{epoch}.{'9' * 500}", 400),
                (str(other.cursor), 400),
                (f"{run.id}.{epoch}.{tail + 1}", 410),
                (f"{run.id}.other.1", 410),
            ]:
                code = {400: "cursor-invalid", 410: "cursor-expired"}[status]
                path = f"/runs/{run.id}/events"
                for answer in (
                    await server.request("GET", path, {"Last-Event-ID": cursor}),
                    await server.request("GET", f"{path}?after={cursor}"),
                    await server.request(
                        "GET", f"/stream/{run.id}/resume", {"Last-Event-ID": cursor}
                    ),
                ):
                    assert (answer.status, answer.code) == (status, code), cursor
            answer = await server.request("GET", f"/runs/{run.id}/events?after=")
            assert (answer.status, answer.code) == (400, "cursor-invalid")
            for position, status in [(tail + 1, 410), (-1, 400), ("x", 400), (2**60, 400)]:
                answer = await server.request("GET", f"/stream/{run.id}/resume?position={position}")
                assert answer.status == status

    async def test_log_that_is_no_longer_kept(self) -> None:
        limits = RuntimeLimits(retention=Retention(max_runs=1))
        async with open_server(endless("x"), limits=limits) as server:
            first, second = await server.start(), await server.start()
            await first.wait()
            await second.wait()
            await trio.testing.wait_all_tasks_blocked()
            for path, headers in [
                (f"/runs/{first.id}/events", {}),
                ("/stream?prompt=x", {"Last-Event-ID": str(first.cursor)}),
            ]:
                answer = await server.request("GET", path, headers)
                assert (answer.status, answer.code) == (410, "cursor-expired")


class TestSeedRoutes:
    async def test_stream_starts_a_run(self) -> None:
        model = talking_model("hi")
        async with open_server(model) as server:
            answer = await server.request("GET", "/stream?prompt=Hello%20%C3%A9")
            assert answer.status == 200
            assert answer.complete
            assert answer.events[0][1]["type"] == "run-start"
            assert model.requests[0].messages[0].content == "Hello é"

    async def test_agent_and_policy(self) -> None:
        models = [StepModel(), StepModel()]
        agents = [Agent(name=name, model=model) for name, model in zip("ab", models, strict=True)]
        async with open_server(*agents, on_disconnect="cancel") as server:
            async with await server.connect() as client:
                await client.watch("/stream?prompt=x&agent=b")
                (view,) = (await server.request("GET", "/runs")).json["runs"]
                assert view["agent"] == "b"
                run = await server.runtime.find(view["id"])
            assert (await run.wait()).finish_reason == "cancelled"

    async def test_key(self) -> None:
        async with open_server(endless("x")) as server:
            first, again, other = [
                await server.request("GET", f"/stream?prompt=x&key={key}") for key in "kkl"
            ]
            assert first.body == again.body != other.body
            assert (await server.request("GET", "/stream?prompt=x&key=")).status == 400

    async def test_reconnect_never_starts_a_second_run(self) -> None:
        model = StepModel()
        async with open_server(model) as server:
            async with await server.connect() as client:
                answer = await client.watch("/stream?prompt=x")
                await client.receive_body(answer, until=b"step-start")
            cursor = answer.events[-1][0]
            for bad, status in [("junk", 400), ("x.y.1", 404), (cursor + "9", 410)]:
                answer = await server.request("GET", "/stream?prompt=x", {"Last-Event-ID": bad})
                assert answer.status == status
            async with await server.connect() as client:
                await client.send("GET", "/stream?prompt=x", {"Last-Event-ID": cursor})
                answer = await client.receive_head()
                model.finish()
                await client.receive_body(answer)
                assert [event["type"] for _, event in answer.events] == [
                    "model-finish",
                    "step-finish",
                    "run-finish",
                ]
            assert model.asked == 1

    @pytest.mark.parametrize(
        ("method", "headers"),
        [
            ("HEAD", {}),
            ("GET", {"Sec-Purpose": "prefetch;prerender"}),
            ("GET", {"Purpose": "prefetch"}),
        ],
    )
    async def test_never_started(self, method: str, headers: dict[str, str]) -> None:
        async with open_server(StepModel()) as server:
            answer = await server.request(method, "/stream?prompt=x", headers)
            assert answer.status == 403
            assert server.runtime.statistics().active == 0

    async def test_without_a_prompt(self) -> None:
        async with open_server(StepModel()) as server:
            answer = await server.request("GET", "/stream")
            assert (answer.status, answer.code) == (400, "bad-request")

    async def test_head_resumes_nothing(self) -> None:
        async with open_server(StepModel()) as server:
            run = await server.start(on_disconnect="cancel")
            await trio.testing.wait_all_tasks_blocked()
            headers = {"Last-Event-ID": str(run.cursor)}
            assert (await server.request("HEAD", "/stream?prompt=x", headers)).status == 200
            assert run.cancel_reason is None


class TestCancel:
    async def test_receipt(self) -> None:
        async with open_server(StepModel()) as server:
            run = await server.start()
            await trio.testing.wait_all_tasks_blocked()
            answer = await server.request("POST", f"/runs/{run.id}/cancel")
            assert answer.status == 200
            receipt = {"id": run.id, "outcome": "cancelled", "lastOffset": run.cursor.offset}
            assert answer.json == {**receipt, "abandoned": []}
            assert run.done
            again = await server.request("POST", f"/runs/{run.id}/cancel", body={})
            assert (again.status, again.json) == (200, answer.json)

    async def test_finished_run(self) -> None:
        async with open_server(talking_model("x")) as server:
            run = await server.start()
            await run.wait()
            answer = await server.request("POST", f"/runs/{run.id}/cancel")
            assert (answer.status, answer.json["outcome"]) == (200, "stop")

    async def test_viewers_get_the_terminal_event(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            run = await server.start()
            answer = await client.watch(f"/runs/{run.id}/events")
            await server.request("POST", f"/runs/{run.id}/cancel")
            await client.receive_body(answer)
            assert answer.complete
            finish = answer.events[-1][1]["run"]
            assert finish["finishReason"] == "cancelled"
            assert finish["reason"] == "requested by a client"

    async def test_202_after_30_seconds(self, autojump_clock: trio.testing.MockClock) -> None:
        class Stubborn(StepModel):
            async def generate(self, request: object, emit: object) -> object:  # type: ignore[override]
                try:
                    await trio.sleep_forever()
                finally:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(40)

        async with open_runtime() as runtime:
            service = Service(runtime, [Agent(model=Stubborn())])
            transport = httpx.ASGITransport(create_app(service))  # type: ignore[arg-type]
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost", timeout=None
            ) as http:
                run_id = (await http.post("/runs", json={"prompt": "x"})).json()["id"]
                await trio.sleep(1)
                start = trio.current_time()
                answer = await http.post(f"/runs/{run_id}/cancel")
                assert answer.status_code == 202
                assert trio.current_time() - start == 30
                assert answer.json()["status"] == "active"
                answer = await http.post(f"/runs/{run_id}/cancel")
                assert (answer.status_code, answer.json()["outcome"]) == (200, "cancelled")
                assert trio.current_time() - start == 40

    async def test_run_that_was_lost(self) -> None:
        async with open_server(StepModel()) as server:
            run = await server.start()

            async def cancel(reason: str) -> None:
                raise StoreUnavailable("it is away")

            run.cancel = cancel  # type: ignore[assignment, method-assign]
            answer = await server.request("POST", f"/runs/{run.id}/cancel")
            assert (answer.status, answer.code) == (503, "store-unavailable")


by_requests: ContextVar[list[str]] = ContextVar("by_requests")


class NotingStore(StoreProxy):
    """Notes what requests ask it, and not what the runtime asks for itself."""

    async def perform(self, operation: str, act: Callable[[], Awaitable[Any]]) -> Any:
        if (asked := by_requests.get(None)) is not None:
            asked.append(operation)
        return await act()


class SharedStore(MemoryStore):
    shared = True


@attrs.define
class Noting:
    server: Server
    runs: dict[str, Run]
    """One that lives here, one that did, one that lives elsewhere, one that did."""
    model: StepModel
    asked: list[str]
    """What requests have asked the store."""

    def finish(self) -> None:
        """End what is active, and one more, so that whoever follows a run sees its end."""
        for _ in range(3):
            self.model.finish()


@asynccontextmanager
async def open_noting() -> AsyncIterator[Noting]:
    model = StepModel()
    agent = Agent(model=model)
    store = SharedStore()
    asked: list[str] = []

    def noting(app: ASGIApp) -> ASGIApp:
        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            by_requests.set(asked)
            await app(scope, receive, send)

        return noted

    async with (
        open_runtime(store=store) as other,
        open_server(agent, store=NotingStore(store), wrap=noting) as server,
    ):
        here = server.runtime
        runs = {}
        for name, runtime in {"kept": here, "stored": other, "live": here, "away": other}.items():
            runs[name] = await runtime.start(agent, "x", idempotency_key=name)
            if name in ("kept", "stored"):
                model.finish()
                await runs[name].wait()
        noting_server = Noting(server, runs, model, asked)
        yield noting_server
        noting_server.finish()


class TestReads:
    """No request asks the store twice what it knows of a run."""

    @pytest.mark.parametrize("run", ["live", "kept", "stored", "away"])
    @pytest.mark.parametrize(
        ("method", "path", "headers"),
        [
            ("GET", "/runs/{run}", {}),
            ("DELETE", "/runs/{run}", {}),
            ("GET", "/runs/{run}/events", {}),
            ("HEAD", "/runs/{run}/events", {}),
            ("GET", "/runs/{run}/events", {"Last-Event-ID": "{run}.{epoch}.1"}),
            ("GET", "/runs/{run}/events?after={run}.other.1", {}),
            ("POST", "/runs/{run}/cancel", {}),
            ("GET", "/runs?before={run}", {}),
            ("GET", "/stream/{run}/resume?position=1", {}),
            ("GET", "/stream?prompt=x", {"Last-Event-ID": "{run}.{epoch}.1"}),
            ("GET", "/stream?prompt=x&key={name}", {}),
            ("POST", "/runs", {"Idempotency-Key": "{name}", **SSE}),
        ],
    )
    async def test_of_a_known_run(
        self, run: str, method: str, path: str, headers: dict[str, str]
    ) -> None:
        async with open_noting() as noting, await noting.server.connect() as client:
            known = noting.runs[run]
            names = {"name": run, "run": known.id, "epoch": known.cursor.epoch}
            body = {"prompt": "x"} if path == "/runs" else b""
            filled = {name: value.format(**names) for name, value in headers.items()}
            await client.send(method, path.format(**names), filled, body)
            answer = await client.receive_head()
            noting.finish()
            await client.receive_body(answer)
            assert noting.asked.count("info") <= 1, noting.asked

    @pytest.mark.parametrize(
        ("run", "most"),
        # One that does not live here is looked up, and then shown as it is by now.
        [("live", 1), ("kept", 1), ("stored", 2), ("away", 2)],
    )
    async def test_of_a_run_that_its_key_finds(self, run: str, most: int) -> None:
        async with open_noting() as noting:
            headers = {"Idempotency-Key": run}
            answer = await noting.server.request("POST", "/runs", headers, {"prompt": "x"})
            assert answer.json["id"] == noting.runs[run].id
            assert noting.asked.count("info") <= most, noting.asked

    @pytest.mark.parametrize(
        ("method", "path", "headers"),
        [
            ("POST", "/runs", {}),
            ("POST", "/runs", SSE),
            ("POST", "/runs", {"Idempotency-Key": "new"}),
            ("GET", "/stream?prompt=x", {}),
            ("GET", "/runs", {}),
            ("GET", "/runs/nope", {}),
            ("GET", "/runs/nope/events", {}),
            ("DELETE", "/runs/nope", {}),
            ("POST", "/runs/nope/cancel", {}),
            ("GET", "/agents", {}),
            ("GET", "/health/ready", {}),
        ],
    )
    async def test_of_others(self, method: str, path: str, headers: dict[str, str]) -> None:
        async with open_noting() as noting, await noting.server.connect() as client:
            body = {"prompt": "x"} if path == "/runs" and method == "POST" else b""
            await client.send(method, path, headers, body)
            answer = await client.receive_head()
            noting.finish()
            await client.receive_body(answer)
            assert noting.asked.count("info") <= 1, noting.asked

    async def test_it_is_noted(self) -> None:
        async with open_noting() as noting:
            await noting.server.request("GET", f"/runs/{noting.runs['live'].id}")
            assert noting.asked == ["info"]
            await noting.server.request("GET", f"/runs/{noting.runs['stored'].id}/events")
            assert noting.asked.count("info") == 2


class TestMessages:
    async def test_of_a_finished_run(self) -> None:
        agent = Agent(model=weather_model(), tools=[get_weather])
        async with open_server(agent) as server:
            file = {"type": "file", "mediaType": "image/png", "data": "UE5H"}
            said = {"role": "user", "content": [{"type": "text", "text": "hi"}, file]}
            view = (await server.request("POST", "/runs", body={"messages": [said]})).json
            run = await server.runtime.find(view["id"])
            await run.wait()
            answer = await server.request("GET", f"/runs/{run.id}/messages")
            page = answer.json
            assert page["next"] is None
            blob = page["messages"][0]["content"][1].pop("blob")
            assert page["messages"] == [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "hi"},
                        {"type": "file", "mediaType": "image/png"},
                    ],
                },
                {
                    "role": "assistant",
                    "content": "Look.",
                    "toolCalls": [{"id": "c1", "name": "get_weather", "input": {"city": "Oslo"}}],
                },
                {"role": "tool", "toolCallId": "c1", "content": "Oslo: snow"},
                {"role": "assistant", "content": "Cold, é\n\u2028."},
            ]
            assert (await server.request("GET", f"/runs/{blob.replace('/', '/blobs/')}")).body == (
                b"PNG"
            )
            # They are what a run takes.
            again = {"messages": answer.json["messages"], "prompt": "and?", "agent": "agent"}
            assert (await server.request("POST", "/runs", body=again)).status == 201

    async def test_page_by_page(self) -> None:
        long = "x" * (1 << 20)
        async with open_server(talking_model("a")) as server:
            run = await server.runtime.start(
                server.service.agents["agent"], messages=[SystemMessage(long), UserMessage("b")]
            )
            await run.wait()
            first = (await server.request("GET", f"/runs/{run.id}/messages")).json
            assert [message["content"] for message in first["messages"]] == [long, "b"]
            rest = await server.request("GET", f"/runs/{run.id}/messages?after={first['next']}")
            assert rest.json == {"messages": [{"role": "assistant", "content": "a"}], "next": None}

    @pytest.mark.parametrize("after", ["-1", "x", "1e3", "9" * 17])
    async def test_no_place(self, after: str) -> None:
        async with open_server(talking_model("a")) as server:
            run = await server.start()
            answer = await server.request("GET", f"/runs/{run.id}/messages?after={after}")
            assert (answer.status, answer.code) == (400, "bad-request")

    async def test_they_are_their_owners(self) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(talking_model("a"), guard=guard) as server:
            run = await server.start(owner="alice")
            await run.wait()
            path = f"/runs/{run.id}/messages"
            assert (await server.request("GET", path, ALICE)).status == 200
            for headers, status in ((BOB, 404), ({}, 401)):
                assert (await server.request("GET", path, headers)).status == status
            await server.runtime.delete(run.id)
            assert (await server.request("GET", path, ALICE)).code == "unknown-run"


async def test_a_log_that_can_not_be_read() -> None:
    store = MemoryStore()
    async with open_server(talking_model("a"), store=store) as server:
        run = await server.start()
        await run.wait()
        store._runs[run.id].log.entries[1] = Entry(2, b"{", terminal=False)
        answer = await server.request("GET", f"/runs/{run.id}/messages")
        assert (answer.status, answer.code) == (410, "cursor-expired")


async def test_the_claims_of_a_principal_are_its_runs() -> None:
    async def authorize(request: object) -> Principal:
        return Principal("ann", {"plan": "free"})

    async with open_server(talking_model("a"), guard=Guard(authorize=authorize)) as server:
        view = (await server.request("POST", "/runs", body={"prompt": "x"})).json
        assert (await server.runtime.store.info(view["id"])).record.owner == "ann"
        [private] = await server.runtime.store.read_private(view["id"], [0])
        assert json.loads(private)["claims"] == {"plan": "free"}
        foreign = await server.start(owner="bob")
        shown = [run["id"] for run in (await server.request("GET", "/runs")).json["runs"]]
        assert shown == [view["id"]]
        assert (await server.request("GET", f"/runs/{foreign.id}")).status == 404
        assert (await server.request("GET", f"/runs/{view['id']}")).json["agent"] == "agent"
