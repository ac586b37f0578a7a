"""Answers and messages over real sockets."""

from typing import Any

import pytest
import trio
from server_kit import ALICE, BOB, TOKENS, Server, open_server
from till_kit import LOOK, PAY, Till, asleep

from trio_agent import SQLiteStore, ToolAnswered, UserSaid, open_runtime
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.testing import call
from trio_agent.wire import format_comment


async def waiting(server: Server, **start: Any) -> Any:
    """Start a run of the first agent that comes to wait."""
    run = await server.start(**start)
    await asleep(run)
    return run


async def tell(server: Server, path: str, body: Any, headers: Any = None) -> tuple[int, Any]:
    answer = await server.request("POST", path, headers, body)
    return answer.status, answer.code if answer.status >= 400 else answer.json


@pytest.mark.parametrize(
    ("asked", "said", "output", "paid"),
    [
        (PAY, {"approve": True}, "paid 7", [7]),
        (PAY, {"approve": True, "reason": "cheap", "arguments": {"amount": 7}}, "paid 7", [7]),
        (PAY, {"approve": False}, "the user did not allow this call", []),
        (PAY, {"approve": False, "reason": "dear"}, "the user did not allow this call: dear", []),
        (LOOK, {"output": {"seen": [1]}}, {"seen": [1]}, []),
        (LOOK, {"output": None}, None, []),
        (LOOK, {"approve": True, "output": "x"}, "x", []),
    ],
    ids=repr,
)
async def test_answers(asked: Any, said: Any, output: Any, paid: list[int]) -> None:
    till = Till([asked], ["Done."])
    async with open_server(till.agent) as server:
        run = await waiting(server)
        reply = await tell(server, f"/runs/{run.id}/answers", {"callId": "c1", **said})
        assert reply == (200, {"runId": run.id, "callId": "c1"})
        result = await run.wait()
        assert (result.text, till.paid) == ("Done.", paid)
        events = (await server.request("GET", f"/runs/{run.id}/events")).events
        [answered] = [event for _, event in events if event["type"] == "tool-answer"]
        assert (answered["approved"], answered["by"]) == (said.get("approve", True), None)
        [done] = [event["tool"] for _, event in events if event["type"] == "tool-result"]
        assert done["output"] == output


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({"callId": "c2", "approve": True}, {}, 409, "answer-refused"),
        (
            {"callId": "c1", "approve": True, "arguments": {"amount": 1}},
            {},
            409,
            "answer-refused",
        ),
        ({"callId": "c1", "output": 1}, {}, 400, "bad-request"),
        ({"callId": "c1", "approve": False, "output": 1}, {}, 400, "bad-request"),
        ({"callId": "c1"}, {}, 400, "bad-request"),
        ({"callId": 1, "approve": True}, {}, 400, "bad-request"),
        ({"approve": True}, {}, 400, "bad-request"),
        ({"callId": "c1", "approve": True, "by": "the boss"}, {}, 400, "bad-request"),
        ({"callId": "c1", "approve": True}, {"Content-Type": "text/plain"}, 415, "not-json"),
        ({"callId": "c1", "approve": True, "reason": "\ud800"}, {}, 400, "bad-request"),
    ],
    ids=repr,
)
async def test_what_is_no_answer(body: Any, headers: Any, status: int, code: str) -> None:
    till = Till()
    async with open_server(till.agent) as server:
        run = await waiting(server)
        assert await tell(server, f"/runs/{run.id}/answers", body, headers) == (status, code)
        assert run.status == "waiting"
        view = (await server.request("GET", f"/runs/{run.id}")).json
        assert view["waiting"][0]["callId"] == "c1"


async def test_the_first_answer_counts() -> None:
    till = Till()
    async with open_server(till.agent) as server:
        run = await waiting(server)
        path, replies = f"/runs/{run.id}/answers", []

        async def ask(approve: bool) -> None:
            replies.append(await tell(server, path, {"callId": "c1", "approve": approve}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, True)
            nursery.start_soon(ask, False)
        # Who comes when the run has ended is told so.
        assert sorted(status for status, _ in replies) == [200, 409]
        await run.wait()
        assert len(till.paid) in (0, 1)
        other = {"callId": "c1", "approve": False, "reason": "late"}
        assert await tell(server, path, other) == (409, "run-over")


async def test_the_same_answer_again_and_another_one() -> None:
    till = Till([PAY, call("c2", "look")], ["Done."])
    async with open_server(till.agent) as server:
        run = await waiting(server)
        path = f"/runs/{run.id}/answers"
        for _ in range(2):  # the other call keeps the run waiting
            reply = await tell(server, path, {"callId": "c1", "approve": True})
            assert reply == (200, {"runId": run.id, "callId": "c1"})
        reply = await tell(server, path, {"callId": "c1", "approve": False})
        assert reply == (409, "answer-refused")
        assert till.paid == [7]


async def test_owners() -> None:
    till = Till()
    async with open_server(till.agent, guard=Guard(bearer_tokens(TOKENS))) as server:
        run = await waiting(server, owner="alice")
        answer = {"callId": "c1", "approve": True}
        for path, body in (("answers", answer), ("messages", {"content": "hi"})):
            path = f"/runs/{run.id}/{path}"
            assert await tell(server, path, body) == (401, "unauthorized")
            assert await tell(server, path, body, BOB) == (404, "unknown-run")
            nothing = await tell(server, f"/runs/nope/{path[-8:]}", body, BOB)
            assert nothing[0] == 404
        assert (await tell(server, f"/runs/{run.id}/answers", answer, ALICE))[0] == 200
        await run.wait()
        with run.subscribe() as events:
            said = [event async for event in events if isinstance(event, ToolAnswered)]
        assert [event.by for event in said] == ["alice"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({"content": ""}, {}, 400, "bad-request"),
        ({"content": None}, {}, 400, "bad-request"),
        ({"content": [{"type": "video"}]}, {}, 400, "bad-request"),
        (
            {"content": [{"type": "file", "mediaType": "image/png", "data": "AAAA"}]},
            {},
            400,
            "bad-request",
        ),
        ({"content": "x", "key": ""}, {}, 400, "bad-request"),
        ({"content": "x"}, {"Idempotency-Key": "k" * 256}, 400, "bad-request"),
        ({"content": "x", "key": "a"}, {"Idempotency-Key": "b"}, 400, "bad-request"),
        ({}, {}, 400, "bad-request"),
        ({"content": "x"}, {"Content-Type": "text/plain"}, 415, "not-json"),
    ],
    ids=repr,
)
async def test_what_is_no_message(body: Any, headers: Any, status: int, code: str) -> None:
    async with open_server(Till().agent) as server:
        run = await waiting(server)
        assert await tell(server, f"/runs/{run.id}/messages", body, headers) == (status, code)
        assert run.status == "waiting"


async def test_messages() -> None:
    till = Till([PAY], ["Well."], ["Done."])
    async with open_server(till.agent) as server:
        run = await waiting(server)
        path, parts = f"/runs/{run.id}/messages", [{"type": "text", "text": "a"}]
        for body, headers in (
            ({"content": "first", "key": "k"}, {}),
            ({"content": "first"}, {"Idempotency-Key": "k"}),
            ({"content": "first", "key": "k"}, {"Idempotency-Key": "k"}),
            ({"content": parts}, {}),
        ):
            assert await tell(server, path, body, headers) == (200, {"runId": run.id})
        reply = await tell(server, path, {"content": "other", "key": "k"})
        assert reply == (409, "answer-refused")
        await tell(server, f"/runs/{run.id}/answers", {"callId": "c1", "approve": False})
        await run.wait()
        with run.subscribe() as events:
            said = [event.content async for event in events if isinstance(event, UserSaid)]
        assert said == ["first", "a"]
        assert await tell(server, path, {"content": "late"}) == (409, "run-over")


@pytest.mark.parametrize(
    ("path", "body", "reply"),
    [
        ("messages", {"content": "more", "key": "k"}, {}),
        ("answers", {"callId": "c1", "approve": True}, {"callId": "c1"}),
    ],
)
async def test_who_waits_for_long_is_told(
    path: str, body: Any, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent.servers._shared.told._WAIT", 0.0)
    async with open_server(Till().agent) as server:
        run = await waiting(server)
        told = await tell(server, f"/runs/{run.id}/{path}", body)
        assert told == (202, {"runId": run.id, **reply, "pending": True})


async def test_over_another_server_of_the_store(tmp_path: Any) -> None:
    """The one that follows the file answers, and the one that has it goes on."""
    till, path = Till(), tmp_path / "runs.db"
    async with (
        open_runtime(store=SQLiteStore(path), agents=[till.agent]) as runtime,
        open_server(till.agent, store=SQLiteStore(path, follow=True)) as server,
    ):
        run = await runtime.start(till.agent, "hi")
        await asleep(run)
        assert (await server.request("GET", f"/runs/{run.id}")).json["status"] == "waiting"
        reply = await tell(server, f"/runs/{run.id}/answers", {"callId": "c1", "approve": True})
        assert reply == (200, {"runId": run.id, "callId": "c1"})
        assert (await run.wait()).text == "Done."


async def test_a_stream_of_a_run_that_waits() -> None:
    """It stays open with its heartbeats, and sees the run go on."""
    till = Till()
    async with open_server(till.agent, heartbeat=0.01) as server, await server.connect() as client:
        run = await waiting(server)
        stream = await client.watch(f"/runs/{run.id}/events")
        await client.receive_body(stream, until=b'"type":"waiting"')
        await client.receive_body(stream, until=2 * format_comment())
        assert run.status == "waiting"
        await tell(server, f"/runs/{run.id}/answers", {"callId": "c1", "approve": True})
        await client.receive_body(stream)
        assert stream.complete
        assert stream.events[-1][1]["type"] == "run-finish"


async def test_a_run_that_waits_is_seen() -> None:
    till = Till([PAY], ["Done."])
    async with open_server(till.agent) as server:
        run = await waiting(server)
        [listed] = (await server.request("GET", "/runs")).json["runs"]
        assert (listed["status"], "waiting" in listed) == ("waiting", False)
        view = (await server.request("GET", f"/runs/{run.id}")).json
        assert view["status"] == "waiting"
        [call] = view["waiting"]
        assert call.pop("deadline") > view["createdAt"]
        assert call == {"callId": "c1", "tool": "pay", "input": {"amount": 7}, "kind": "approval"}
        assert (await server.runtime.runs()).runs[0].status == "waiting"
        cancelled = await server.request("POST", f"/runs/{run.id}/cancel")
        assert cancelled.json["outcome"] == "cancelled"
        view = (await server.request("GET", f"/runs/{run.id}")).json
        assert (view["status"], "waiting" in view) == ("cancelled", False)
