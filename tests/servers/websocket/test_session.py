"""One connection: its requests, answered in order, and the runs that it follows."""

import json
import math
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from server_kit import (
    ALICE,
    BOB,
    TOKENS,
    StepModel,
    endless,
    get_weather,
    talking_model,
    weather_model,
)
from till_kit import LOOK, PAY, Till, asleep
from websocket_kit import (
    WebSocketKit,
    error,
    expected,
    open_websocket_server,
    tasks_between_runs,
    until_tasks,
)
from wsproto.events import CloseConnection, Ping, TextMessage

from trio_agent import (
    Agent,
    KeyReused,
    MemoryStore,
    Run,
    RuntimeLimits,
    SQLiteStore,
    StoreUnavailable,
    open_runtime,
)
from trio_agent.servers import Guard, bearer_tokens, serve_websocket
from trio_agent.servers._shared.allowed import Allowed
from trio_agent.servers._shared.intake import FREE, LARGEST_AT_ONCE
from trio_agent.servers._shared.problem import STORE_AWAY
from trio_agent.servers.websocket._requests import MAX_MESSAGE
from trio_agent.servers.websocket._session import MAX_QUEUED, MAX_SUBSCRIPTIONS
from trio_agent.testing import ScriptedModel, call


class TestRequests:
    async def test_seeds_minimal_form_starts_and_follows_a_run(self) -> None:
        agent = Agent(model=weather_model(), tools=[get_weather])
        async with open_websocket_server(agent) as kit, await kit.open() as socket:
            started = await socket.ask({"prompt": "hi"})
            run = await kit.runtime.find(started["runId"])
            assert started == {"type": "started", "runId": run.id}
            seen = await socket.receive_run()
            assert seen == await expected(kit, run)
            assert [event["type"] for event in seen][-1] == "run-finish"
            assert all(list(event).count("runId") == 1 for event in seen)

    async def test_start_takes_what_http_takes(self) -> None:
        agents = [Agent(name=name, model=endless("x")) for name in ("one", "two")]
        async with open_websocket_server(*agents) as kit, await kit.open() as socket:
            answer = await socket.ask(
                {
                    "type": "start",
                    "requestId": "r1",
                    "messages": [{"role": "user", "content": "hi"}],
                    "agent": "two",
                    "onDisconnect": 5,
                    "metadata": {"a": 1},
                    "follow": False,
                }
            )
            assert answer == {"type": "started", "requestId": "r1", "runId": answer["runId"]}
            run = await kit.service.run(None, answer["runId"])
            assert (run.agent, run.metadata) == ("two", {"a": 1})
            # It does not follow: the next message is an answer again.
            assert await socket.ask({"type": "?"}) == error("unknown-type")

    async def test_start_takes_what_the_operator_allows(self) -> None:
        model = talking_model("x")
        async with open_websocket_server(model) as kit, await kit.open() as socket:
            asked = {"type": "start", "prompt": "hi", "follow": False}
            for more in ({"options": {"seed": 1}}, {"limits": {"maxSteps": 1}}):
                assert await socket.ask({**asked, **more}) == error("not-allowed")
            kit.service._allowed = Allowed(["seed"], ["maxSteps"])
            more = {"options": {"seed": 1}, "limits": {"maxSteps": 1}}
            answer = await socket.ask({**asked, **more})
            await (await kit.runtime.find(answer["runId"])).wait()
            assert model.requests[0].options == {"seed": 1}

    async def test_the_same_key_gives_the_same_run(self) -> None:
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
            first = await socket.ask({"prompt": "hi", "key": "k", "follow": False})
            followed = await socket.ask({"prompt": "hi", "key": "k", "requestId": 1})
            assert followed == {**first, "requestId": 1}
            assert (await socket.receive())["type"] == "run-start"
            assert (await socket.receive())["type"] == "step-start"
            again = await socket.ask({"prompt": "hi", "key": "k", "requestId": 2})
            assert again == {**first, "requestId": 2}
            assert kit.runtime.statistics().viewers == 1

    async def test_runs_in_a_thread(self) -> None:
        model = StepModel()
        guard = Guard(bearer_tokens(TOKENS))
        async with (
            open_websocket_server(model, guard=guard) as kit,
            await kit.open(**ALICE) as socket,
            await kit.open(**BOB) as stranger,
        ):
            asked = {"prompt": "hi", "thread": "tea/é"}
            first = (await socket.ask({**asked, "key": "k"}))["runId"]
            assert (await socket.receive())["thread"] == "tea/é"
            assert (await socket.receive())["type"] == "step-start"
            model.say("Half")
            assert (await socket.receive())["delta"] == "Half"
            refused = await socket.ask({**asked, "requestId": 7})
            assert refused["error"].pop("message")
            assert refused == {
                "type": "error",
                "requestId": 7,
                "error": {"code": "thread-busy", "runId": first},
            }
            again = await socket.ask({**asked, "key": "k"})
            assert again == {"type": "started", "runId": first}
            # Whose thread it is says the token: a stranger's of that name is another one.
            other = await stranger.ask({**asked, "onBusy": "cancel", "follow": False})
            assert (await kit.runtime.find(other["runId"])).owner == "bob"
            await (await kit.runtime.find(other["runId"])).cancel()
            await socket.send({**asked, "onBusy": "cancel", "after": "", "follow": False})
            seen = [await socket.receive() for _ in range(2)]
            [ended] = [message for message in seen if message["type"] == "run-finish"]
            assert ended["run"]["finishReason"] == "cancelled"
            [started] = [message for message in seen if message["type"] == "started"]
            assert (await kit.runtime.find(started["runId"])).thread == "tea/é"

    async def test_an_old_run_that_does_not_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trio_agent.servers._shared.service._CANCEL_WAIT", 0.0)
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
            old = await kit.start(thread="tea")
            answer = await socket.ask({"prompt": "hi", "thread": "tea", "onBusy": "cancel"})
            assert answer["error"].pop("message")
            assert answer == {"type": "error", "error": {"code": "thread-busy", "runId": old.id}}
            assert kit.runtime.statistics().active == 1
            await old.cancel()

    @pytest.mark.parametrize(
        "fields",
        [
            {"thread": ""},
            {"thread": 1},
            {"thread": "a\nb"},
            {"thread": "a/../b"},
            {"thread": "x" * 257},
            {"after": "nope"},
            {"after": None, "thread": None, "onBusy": "cancel"},
            {"onBusy": "queue"},
        ],
        ids=repr,
    )
    async def test_what_can_not_be_started_in_a_thread(self, fields: Any) -> None:
        async with open_websocket_server(endless("x")) as kit, await kit.open() as socket:
            asked = {"prompt": "hi", "thread": "tea", "requestId": 1, **fields}
            assert await socket.ask(asked) == error("bad-request", 1)
            assert kit.runtime.statistics().active == 0

    async def test_subscribe_with_a_cursor(self) -> None:
        async with open_websocket_server(talking_model("a", "b")) as kit:
            run = await kit.start()
            await run.wait()
            events = await expected(kit, run)
            async with await kit.open() as socket:
                for place in range(len(events) - 1):
                    request = {"type": "subscribe", "runId": run.id, "requestId": place}
                    if place:
                        request["after"] = events[place - 1]["id"]
                    answer = await socket.ask(request)
                    assert answer == {"type": "subscribed", "runId": run.id, "requestId": place}
                    assert await socket.receive_run() == events[place:]
                answer = await socket.ask({"type": "subscribe", "runId": run.id, "after": 0})
                assert answer == {"type": "subscribed", "runId": run.id}
                assert await socket.receive_run() == events

    async def test_behind_the_end_nothing_comes_and_the_answer_says_so(self) -> None:
        async with open_websocket_server(talking_model("a")) as kit, await kit.open() as socket:
            run = await kit.start()
            await run.wait()
            last = (await expected(kit, run))[-1]["id"]
            answer = await socket.ask({"type": "subscribe", "runId": run.id, "after": last})
            assert answer == {"type": "subscribed", "runId": run.id, "ended": True}
            assert await socket.ask({"type": "?"}) == error("unknown-type")

    async def test_subscription_follows_live(self) -> None:
        model = StepModel()
        async with open_websocket_server(model) as kit, await kit.open() as socket:
            run = await kit.start()
            await socket.ask({"type": "subscribe", "runId": run.id})
            seen = [await socket.receive() for _ in range(2)]
            for word in "ab":
                model.say(word)
                seen.append(await socket.receive())
                assert seen[-1]["delta"] == word
            model.finish()
            assert [*seen, *await socket.receive_run()] == await expected(kit, run)

    async def test_unsubscribe_ends_the_events_and_the_viewer(self) -> None:
        model = StepModel()
        async with open_websocket_server(model) as kit, await kit.open() as socket:
            run = await kit.start()
            await socket.ask({"type": "subscribe", "runId": run.id})
            cursor = [(await socket.receive())["id"] for _ in range(2)][-1]
            assert run.statistics().viewers == 1
            request = {"type": "unsubscribe", "runId": run.id, "requestId": "u"}
            gone = {"type": "unsubscribed", "runId": run.id, "requestId": "u"}
            assert await socket.ask(request) == gone
            assert run.statistics().viewers == 0
            model.say("a")
            await trio.testing.wait_all_tasks_blocked()
            assert await socket.ask(request) == gone  # and no event came before it
            await socket.send({"type": "subscribe", "runId": run.id, "after": cursor})
            assert (await socket.receive())["type"] == "subscribed"
            assert (await socket.receive())["delta"] == "a"

    async def test_cancel_answers_when_the_run_is_gone(self) -> None:
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
            run = await kit.start()
            answer = await socket.ask({"type": "cancel", "runId": run.id, "requestId": 7})
            assert run.status == "cancelled"
            assert answer == {
                "type": "cancelled",
                "requestId": 7,
                "runId": run.id,
                "outcome": "cancelled",
                "lastOffset": run.cursor.offset,
                "abandoned": [],
            }
            assert await socket.ask({"type": "cancel", "runId": run.id, "requestId": 7}) == answer

    async def test_cancel_of_a_run_that_does_not_end(self, monkeypatch: Any) -> None:
        monkeypatch.setattr("trio_agent.servers._shared.service._CANCEL_WAIT", 0.0)
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
            run = await kit.start()
            answer = await socket.ask({"type": "cancel", "runId": run.id})
            assert answer == {"type": "cancelled", "runId": run.id}
            await run.cancel()

    async def test_several_runs_share_a_connection(self) -> None:
        async with open_websocket_server(endless("a", "b")) as kit, await kit.open() as socket:
            for number in range(5):
                await socket.send({"prompt": "hi", "requestId": number})
            seen: dict[str, list[Any]] = {}
            order = []
            ended = 0
            while ended < 5:
                message = await socket.receive()
                if "id" in message:
                    seen[message["runId"]].append(message)
                    ended += message["type"] == "run-finish"
                else:
                    order.append(message["requestId"])
                    seen[message["runId"]] = []
            assert order == list(range(5))
            for run_id, events in seen.items():
                assert events == await expected(kit, await kit.runtime.find(run_id))

    async def test_answers_come_in_order_and_without_an_id(self) -> None:
        model = StepModel()
        async with open_websocket_server(model) as kit, await kit.open() as socket:
            run = await kit.start()
            for number, kind in enumerate(["cancel", "unsubscribe", "nonsense", "unsubscribe"]):
                await socket.send({"type": kind, "runId": run.id, "requestId": number})
            answers = [await socket.receive() for _ in range(4)]
            assert [answer["requestId"] for answer in answers] == [0, 1, 2, 3]
            types = ["cancelled", "unsubscribed", "error", "unsubscribed"]
            assert [answer["type"] for answer in answers] == types
            assert not any("id" in answer for answer in answers)

    async def test_nothing_comes_behind_a_terminal_event(self) -> None:
        async with open_websocket_server(talking_model("a")) as kit, await kit.open() as socket:
            await socket.ask({"prompt": "hi"})
            run_id = (await socket.receive_run())[-1]["runId"]
            answer = await socket.ask({"type": "unsubscribe", "runId": run_id})
            assert answer == {"type": "unsubscribed", "runId": run_id}

    async def test_error_of_a_run_has_its_id(self) -> None:
        model = StepModel()
        model.fail(RuntimeError("secret"))
        async with open_websocket_server(model) as kit, await kit.open() as socket:
            started = await socket.ask({"prompt": "hi"})
            last = (await socket.receive_run())[-1]
            assert (last["type"], last["runId"]) == ("error", started["runId"])
            assert "secret" not in json.dumps(last)


class TestErrors:
    @pytest.mark.parametrize(
        ("message", "code", "request_id"),
        [
            ("", "bad-request", None),
            ("{", "bad-request", None),
            ("[]", "bad-request", None),
            ("null", "bad-request", None),
            ("[" * 100_000, "bad-request", None),
            ('{"prompt":"\\ud800"}', "bad-request", None),
            (b"{}", "bad-request", None),
            (b"\xff" * 1000, "bad-request", None),
            ({}, "bad-request", None),
            ({"type": "start", "requestId": "a"}, "bad-request", "a"),
            ({"prompt": 1, "requestId": 2}, "bad-request", 2),
            ({"prompt": "x", "surprise": 1, "requestId": 2}, "bad-request", 2),
            ({"prompt": "x", "agent": "nobody", "requestId": 2}, "unknown-agent", 2),
            ({"prompt": "x", "key": "k" * 1000, "requestId": 2}, "bad-request", 2),
            ({"prompt": "x", "requestId": "r" * 1000}, "bad-request", None),
            ({"type": "reboot", "requestId": 2}, "unknown-type", 2),
            ({"type": 5, "requestId": 2}, "bad-request", None),
            ({"type": "subscribe", "requestId": 2}, "bad-request", 2),
            ({"type": "subscribe", "runId": "nope", "requestId": 2}, "unknown-run", 2),
            ({"type": "subscribe", "runId": "RUN", "after": 1}, "bad-request", None),
            ({"type": "subscribe", "runId": "RUN", "after": "x"}, "cursor-invalid", None),
            ({"type": "subscribe", "runId": "RUN", "after": "x.y.1"}, "cursor-invalid", None),
            ({"type": "subscribe", "runId": "RUN", "after": "RUN.y.1"}, "cursor-expired", None),
            ({"type": "cancel", "runId": "nope", "requestId": 2}, "unknown-run", 2),
            ("x" * (MAX_MESSAGE + 1), "too-large", None),
            ("é" * (MAX_MESSAGE // 2 + 1), "too-large", None),
        ],
        ids=lambda value: repr(value)[:40],
    )
    async def test_bad_message_is_answered_and_the_connection_lives_on(
        self, message: Any, code: str, request_id: object
    ) -> None:
        async with open_websocket_server(endless("a")) as kit, await kit.open() as socket:
            run = await kit.start()
            await run.wait()
            if isinstance(message, dict):
                message = json.loads(json.dumps(message).replace("RUN", run.id))
            assert await socket.ask(message) == error(code, request_id)
            await socket.ask({"prompt": "hi"})
            assert (await socket.receive_run())[-1]["type"] == "run-finish"

    async def test_following_twice(self) -> None:
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
            run = await kit.start()
            await socket.ask({"type": "subscribe", "runId": run.id})
            for _ in range(2):
                await socket.receive()
            answer = await socket.ask({"type": "subscribe", "runId": run.id, "requestId": 1})
            assert answer == error("already-subscribed", 1)
            assert run.statistics().viewers == 1

    async def test_full_server(self) -> None:
        limits = RuntimeLimits(max_streams=1)
        async with (
            open_websocket_server(StepModel(), limits=limits) as kit,
            await kit.open() as socket,
        ):
            await kit.start()
            answer = await socket.ask({"prompt": "hi", "requestId": "x"})
            assert answer == error("limit-exceeded", "x")

    async def test_subscriptions_are_limited(self) -> None:
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
            runs = [await kit.start() for _ in range(MAX_SUBSCRIPTIONS)]
            for run in runs:
                await socket.send({"type": "subscribe", "runId": run.id})
                while (await socket.receive())["type"] != "step-start":
                    pass
            for request in (
                {"prompt": "x"},
                {"type": "subscribe", "runId": (await kit.start()).id},
            ):
                assert await socket.ask(request) == error("limit-exceeded")
            await socket.ask({"type": "unsubscribe", "runId": runs[0].id})
            assert (await socket.ask({"prompt": "x"}))["type"] == "started"

    async def test_queued_requests_are_limited(self) -> None:
        async with open_websocket_server(Agent(model=StepModel(), tools=[])) as kit:
            run = await kit.start()
            blocked = trio.Event()

            async def cancel(*args: object) -> Any:
                await blocked.wait()
                return {"outcome": (await run.cancel()).outcome}

            kit.service.cancel = cancel  # type: ignore[method-assign]
            async with await kit.open() as socket:
                await socket.send({"type": "cancel", "runId": run.id, "requestId": "slow"})
                await trio.testing.wait_all_tasks_blocked()
                for number in range(MAX_QUEUED + 3):
                    await socket.send({"type": "?", "requestId": number})
                for number in range(MAX_QUEUED, MAX_QUEUED + 3):
                    assert await socket.receive() == error("limit-exceeded", number)
                blocked.set()
                assert (await socket.receive())["type"] == "cancelled"
                for number in range(MAX_QUEUED):
                    assert await socket.receive() == error("unknown-type", number)

    async def test_bytes_of_queued_requests_are_limited(self) -> None:
        async with open_websocket_server(StepModel()) as kit:
            run = await kit.start()
            blocked = trio.Event()

            async def cancel(*args: object) -> Any:
                await blocked.wait()
                return {"outcome": (await run.cancel()).outcome}

            kit.service.cancel = cancel  # type: ignore[method-assign]
            large = "x" * (MAX_MESSAGE // 2)
            async with await kit.open() as socket:
                await socket.send({"type": "cancel", "runId": run.id})
                await trio.testing.wait_all_tasks_blocked()
                for number in range(3):
                    await socket.send({"type": "?", "requestId": number, "x": large})
                assert await socket.receive() == error("limit-exceeded", 1)
                assert await socket.receive() == error("limit-exceeded", 2)
                blocked.set()
                assert (await socket.receive())["type"] == "cancelled"
                assert await socket.receive() == error("unknown-type", 0)

    async def test_bug_in_a_request(self, caplog: pytest.LogCaptureFixture) -> None:
        async with open_websocket_server(endless("a")) as kit, await kit.open() as socket:

            async def bug(*args: object, **kwargs: object) -> Any:
                raise RuntimeError("secret")

            start, kit.service.start = kit.service.start, bug  # type: ignore[method-assign]
            assert await socket.ask({"prompt": "x", "requestId": 1}) == error("internal", 1)
            [record] = caplog.records
            assert record.exc_info is not None
            kit.service.start = start  # type: ignore[method-assign]
            assert (await socket.ask({"prompt": "x"}))["type"] == "started"

    async def test_key_of_another_request(self) -> None:
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:

            async def start(*args: Any, **kwargs: Any) -> Run:
                raise KeyReused("this key belongs to another request")

            kit.runtime.start = start  # type: ignore[method-assign]
            answer = await socket.ask({"prompt": "x", "key": "k", "requestId": 1})
            assert answer == error("key-reused", 1)

    async def test_subscription_that_fails_later(self) -> None:
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
            run = await kit.start()
            await socket.ask({"type": "subscribe", "runId": run.id})
            last = [await socket.receive() for _ in range(2)][-1]
            run._feed.break_off(StoreUnavailable("it is away"))
            assert await socket.receive() == {
                "type": "subscription-error",
                "runId": run.id,
                "after": last["id"],
                "error": {"code": "store-unavailable", "message": STORE_AWAY},
            }
            assert await socket.ask({"type": "?"}) == error("unknown-type")

    async def test_subscription_to_a_log_that_was_removed(self) -> None:
        model = StepModel()
        async with open_websocket_server(model) as kit:
            run = await kit.start()
            model.say(*["x"] * 5000)
            model.finish()
            await run.wait()
            await kit.service.delete(None, run.id)

            async def find(*args: object) -> Any:
                return run

            kit.service.run = find  # type: ignore[method-assign]
            async with await kit.open() as socket:
                await socket.ask({"type": "subscribe", "runId": run.id})
                answer = await socket.receive()
                assert answer["type"] == "subscription-error"
                assert answer["error"]["code"] == "cursor-expired"
                assert answer["after"] == f"{run.id}.{run.cursor.epoch}.0"


class TestConnections:
    async def test_leaving_is_leaving(self) -> None:
        async with open_websocket_server(StepModel()) as kit:
            tasks = await tasks_between_runs(kit)
            async with await kit.open() as socket:
                started = await socket.ask({"prompt": "x", "onDisconnect": "cancel"})
                run = await kit.runtime.find(started["runId"])
                await socket.send_event(CloseConnection(code=1000))
                assert all("id" in message for message in await socket.receive_rest())
                assert socket.close_code == 1000
            assert (await run.wait()).finish_reason == "cancelled"
            await until_tasks(tasks + 1)  # the run that is kept

    async def test_connection_that_breaks(self) -> None:
        async with open_websocket_server(StepModel()) as kit:
            async with await kit.open() as socket:
                started = await socket.ask({"prompt": "x", "onDisconnect": "cancel"})
            run = await kit.runtime.find(started["runId"])
            assert (await run.wait()).finish_reason == "cancelled"

    async def test_pongs_keep_a_connection(self) -> None:
        async with (
            open_websocket_server(StepModel(), ping_interval=0.01, pong_deadline=5) as kit,
            await kit.open() as socket,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(socket.receive)
                while socket.pings < 5:
                    await trio.sleep(0.01)  # a real interval on a real socket
                nursery.cancel_scope.cancel()
            assert (await socket.ask({"type": "?"}))["type"] == "error"

    async def test_half_open_connection_is_cut_off(self) -> None:
        async with (
            open_websocket_server(StepModel(), ping_interval=0.01, pong_deadline=0.05) as kit,
            await kit.open() as socket,
        ):
            started = await socket.ask({"prompt": "x", "onDisconnect": "cancel"})
            run = await kit.runtime.find(started["runId"])
            socket.silent = True  # it says nothing more, and does not close
            assert (await run.wait()).finish_reason == "cancelled"
            assert kit.runtime.statistics().viewers == 0

    async def test_peer_that_never_reads_its_events_is_cut_off(self) -> None:
        model = StepModel()
        async with open_websocket_server(model, write_deadline=0.3) as kit:
            run = await kit.start()
            async with (
                await kit.open(receive_buffer=4096) as deaf,
                await kit.open() as neighbour,
            ):
                await deaf.ask({"type": "subscribe", "runId": run.id})
                await neighbour.ask({"type": "subscribe", "runId": run.id})
                seen = [await neighbour.receive() for _ in range(2)]
                for _ in range(8):
                    model.say("x" * 1_000_000)
                    seen.append(await neighbour.receive())
                while run.statistics().viewers > 1:
                    await trio.sleep(0.01)  # a real deadline of a real socket
                model.finish()
                assert [*seen, *await neighbour.receive_run()] == await expected(kit, run)

    async def test_peer_that_never_reads_its_answers_is_cut_off(self) -> None:
        async with open_websocket_server(endless("a"), write_deadline=0.3) as kit:
            tasks = await tasks_between_runs(kit)
            async with await kit.open(receive_buffer=4096) as deaf:

                async def ask_on() -> None:
                    while True:
                        await deaf.send_event(Ping(payload=b"x" * 100))
                        await deaf.send({"type": "?", "requestId": "x" * 120})

                with pytest.raises(trio.BrokenResourceError):
                    await ask_on()
            async with await kit.open() as other:
                assert (await other.ask({"prompt": "x", "follow": False}))["type"] == "started"
            await until_tasks(tasks + 1)  # the run that is kept

    async def test_flood_of_bad_messages(self) -> None:
        async with open_websocket_server(endless("a")) as kit:
            tasks = await tasks_between_runs(kit)
            async with await kit.open() as socket, await kit.open() as neighbour:

                async def flood() -> None:
                    for number in range(3000):
                        await socket.send([b"\0\1", "{", '{"type":"?"}', "[]"][number % 4])

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(flood)
                    answers = [await socket.receive() for _ in range(3000)]
                    await neighbour.ask({"prompt": "x"})
                    assert (await neighbour.receive_run())[-1]["type"] == "run-finish"
                codes = {answer["error"]["code"] for answer in answers}
                assert {"bad-request", "unknown-type"} <= codes
                assert codes <= {"bad-request", "unknown-type", "limit-exceeded"}
                assert (await socket.ask({"prompt": "x"}))["type"] == "started"
            await until_tasks(tasks + 2)  # the runs that are kept

    async def test_fragments(self) -> None:
        async with open_websocket_server(endless("a")) as kit, await kit.open() as socket:
            text = json.dumps({"prompt": "x"})
            for letter in text[:-1]:
                await socket.send_event(TextMessage(data=letter, message_finished=False))
            await socket.send_event(TextMessage(data=text[-1]))
            assert (await socket.receive())["type"] == "started"


class TestTold:
    """Answers to calls that wait, and messages."""

    @pytest.mark.parametrize(
        ("asked", "said", "outcome"),
        [
            (PAY, {"approve": True}, "ok"),
            (PAY, {"approve": False, "reason": "dear"}, "error"),
            (LOOK, {"output": {"seen": 1}}, "ok"),
        ],
        ids=repr,
    )
    async def test_answers(self, asked: Any, said: Any, outcome: str) -> None:
        till = Till([asked], ["Done."])
        async with open_websocket_server(till.agent) as kit, await kit.open() as socket:
            run = await kit.start()
            await asleep(run)
            request = {"type": "answer", "requestId": 1, "runId": run.id, "callId": "c1", **said}
            reply = {"type": "answered", "requestId": 1, "runId": run.id, "callId": "c1"}
            assert await socket.ask(request) == reply
            await run.wait()
            [result] = [e for e in await expected(kit, run) if e["type"] == "tool-result"]
            assert result["tool"]["status"] == outcome
            # Who has not heard of it may say it again; who says something else comes too late.
            assert await socket.ask(request) == reply
            other = {"type": "answer", "requestId": 1, "runId": run.id, "callId": "c1"}
            other |= {"approve": False, "reason": "late"}
            assert await socket.ask(other) == error("run-over", 1)

    async def test_what_is_refused(self) -> None:
        till = Till()
        guard = Guard(bearer_tokens(TOKENS))
        async with (
            open_websocket_server(till.agent, guard=guard) as kit,
            await kit.open(**ALICE) as socket,
            await kit.open(**BOB) as stranger,
        ):
            run = await kit.start(owner="alice")
            await asleep(run)
            answer = {"type": "answer", "runId": run.id, "callId": "c1", "approve": True}
            say = {"type": "say", "runId": run.id, "content": "hi", "key": "k"}
            for request in (answer, say):
                assert await stranger.ask(request) == error("unknown-run")
            for change, code in (
                ({"callId": "c2"}, "answer-refused"),
                ({"arguments": {"amount": 8}}, "answer-refused"),
                ({"approve": None}, "bad-request"),
                ({"approve": None, "output": 1}, "bad-request"),
                ({"runId": "nope"}, "unknown-run"),
            ):
                assert await socket.ask({**answer, **change}) == error(code)
            assert await socket.ask({**say, "content": ""}) == error("bad-request")
            assert await socket.ask(say) == {"type": "said", "runId": run.id}
            assert await socket.ask({**say, "content": "other"}) == error("answer-refused")
            assert (await socket.ask(answer))["type"] == "answered"
            await run.wait()
            by = {e["type"]: e.get("by") for e in await expected(kit, run)}
            assert (by["tool-answer"], by["user-message"]) == ("alice", "alice")

    async def test_who_waits_for_long_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trio_agent.servers._shared.told._WAIT", 0.0)
        async with open_websocket_server(Till().agent) as kit, await kit.open() as socket:
            run = await kit.start()
            await asleep(run)
            said = {"type": "say", "runId": run.id, "content": "hi"}
            assert await socket.ask(said) == {"type": "said", "runId": run.id, "pending": True}

    async def test_tools_of_a_client(self) -> None:
        model = ScriptedModel([call("c1", "look")], ["Done."])
        start = {"type": "start", "prompt": "hi", "clientTools": [{"name": "look"}]}
        async with open_websocket_server(model) as kit, await kit.open() as socket:
            assert await socket.ask(start) == error("not-allowed")
        settings = {"allow_client_tools": True}
        async with (
            open_websocket_server(model, service=settings) as kit,
            await kit.open() as socket,
        ):
            run = (await socket.ask({**start, "retractable": False}))["runId"]
            assert (await socket.receive())["retractable"] is False
            while (await socket.receive())["type"] != "waiting":
                pass
            answer = {"type": "answer", "runId": run, "callId": "c1", "output": "seen"}
            await socket.send(answer)
            assert (await socket.receive_run())[-1]["run"]["text"] == "Done."


class TestEnd:
    async def test_drain_tells_where_runs_that_outlive_it_stand(self, tmp_path: Any) -> None:
        """They go on when their server is started again, or when somebody answers."""
        till = Till()
        model = StepModel()
        agents = [Agent(model=model, name="steps"), till.agent]
        async with (
            open_runtime(store=SQLiteStore(tmp_path / "runs.db"), agents=agents) as runtime,
            trio.open_nursery() as nursery,
        ):
            [url] = await nursery.start(partial(serve_websocket, runtime, agents))
            kit = WebSocketKit(runtime, None, int(url.rpartition(":")[2]), None, None)  # type: ignore[arg-type]
            runs = [await runtime.start(agent, "x") for agent in agents]
            await asleep(runs[1])
            async with await kit.open() as socket:
                for run in runs:
                    await socket.ask({"type": "subscribe", "runId": run.id, "after": 0})
                await trio.testing.wait_all_tasks_blocked()
                await runtime.drain(0)
                *events, draining = await socket.receive_rest()
                cursors = {event["runId"]: event["id"] for event in events if "id" in event}
                assert draining == {"type": "draining", "cursors": cursors}
                assert cursors == {run.id: str(run.cursor) for run in runs}
                assert not {"run-finish", "error"} & {event["type"] for event in events}
                assert socket.close_code == 1012

    async def test_drain_delivers_the_ends_and_closes_with_1012(self) -> None:
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
            started = await socket.ask({"prompt": "x"})
            for _ in range(2):
                await socket.receive()
            await kit.runtime.drain(0)
            *events, draining = await socket.receive_rest()
            assert (events[-1]["type"], events[-1]["runId"]) == ("run-finish", started["runId"])
            assert events[-1]["run"]["finishReason"] == "cancelled"
            assert draining == {"type": "draining", "cursors": {}}
            assert socket.close_code == 1012
            await kit.done.wait()

    async def test_drain_tells_the_cursors_of_runs_that_go_on(self) -> None:
        """As with a shared store, where streams end at once and runs do not."""
        model = StepModel()

        class Shared(MemoryStore):
            shared = True

        async with open_runtime(store=Shared()) as runtime:
            run = await runtime.start(Agent(model=model), "x")
            async with trio.open_nursery() as nursery:
                start = partial(serve_websocket, runtime, [Agent(model=model)])
                [url] = await nursery.start(start)
                kit = WebSocketKit(runtime, None, int(url.rpartition(":")[2]), None, None)  # type: ignore[arg-type]
                async with await kit.open() as socket:
                    await socket.ask({"type": "subscribe", "runId": run.id})
                    last = [await socket.receive() for _ in range(2)][-1]
                    nursery.start_soon(runtime.drain, 5)
                    assert await socket.receive() == {
                        "type": "draining",
                        "cursors": {run.id: last["id"]},
                    }
                    assert await socket.receive() is None
                    assert socket.close_code == 1012
                model.finish()

    async def test_starts_are_refused_while_draining(self) -> None:
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
            run = await kit.start()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(kit.runtime.drain, 5)
                await trio.testing.wait_all_tasks_blocked()
                assert await socket.ask({"prompt": "x"}) == error("limit-exceeded")
                answer = await socket.ask({"type": "subscribe", "runId": run.id})
                assert answer["type"] == "subscribed"
                run.request_cancel()


class TestStrangers:
    @pytest.mark.parametrize("said", [[], ["{", {"type": "?"}]])
    async def test_who_asks_for_nothing_is_sent_away(
        self, said: list[Any], mock_clock: trio.testing.MockClock
    ) -> None:
        async with (
            open_websocket_server(StepModel(), seconds=math.inf, ping_interval=1000) as kit,
            await kit.open() as socket,
        ):
            for message in said:
                assert (await socket.ask(message))["type"] == "error"
            for _ in range(29):
                await trio.testing.wait_all_tasks_blocked(0.01)
                mock_clock.jump(1)
            assert (await socket.ask("?"))["type"] == "error"
            mock_clock.jump(2)
            assert await socket.receive() is None
            assert socket.close_code == 1008

    async def test_a_large_first_request_may_take_longer(
        self, mock_clock: trio.testing.MockClock
    ) -> None:
        async with (
            open_websocket_server(StepModel(), seconds=math.inf, ping_interval=1000) as kit,
            await kit.open() as socket,
        ):
            size = 700_000
            await socket.stream.send_all(b"\x81\xff" + size.to_bytes(8, "big") + bytes(4))
            for piece in (300_000, 300_000):
                await socket.stream.send_all(b"x" * piece)
                await trio.testing.wait_all_tasks_blocked(0.1)
                mock_clock.jump(29)
                await trio.testing.wait_all_tasks_blocked(0.01)
                mock_clock.jump(2)
                await trio.testing.wait_all_tasks_blocked(0.01)
            mock_clock.jump(31)
            assert await socket.receive() is None
            assert socket.close_code == 1008

    async def test_large_messages_share_some_memory(self) -> None:
        """Whoever finds no room is cut off; who is answered makes room."""
        most, size = FREE, 2 * FREE
        begun = b"\x01\xff" + size.to_bytes(8, "big") + bytes(4) + b"x" * size
        async with open_websocket_server(StepModel(), max_message=most) as kit:
            sockets = [await kit.open() for _ in range(LARGEST_AT_ONCE)]
            for socket in sockets:
                await socket.stream.send_all(begun)
                await trio.testing.wait_all_tasks_blocked(0.01)
            *others, last = sockets
            assert await last.receive() is None
            for socket in others:
                await socket.stream.send_all(b"\x80\x80\0\0\0\0")  # its last piece
                assert await socket.receive() == error("too-large")
            async with await kit.open() as late:
                await late.stream.send_all(begun + b"\x80\x80\0\0\0\0")
                assert await late.receive() == error("too-large")
            for socket in sockets:
                socket.stream.socket.close()

    async def test_who_has_asked_may_stay(self, mock_clock: trio.testing.MockClock) -> None:
        async with (
            open_websocket_server(StepModel(), seconds=math.inf, ping_interval=1000) as kit,
            await kit.open() as socket,
        ):
            await socket.ask({"type": "unsubscribe", "runId": "r"})
            for _ in range(3):
                mock_clock.jump(100)
                await trio.testing.wait_all_tasks_blocked(0.01)
            assert (await socket.ask({"type": "?"}))["type"] == "error"

    @pytest.mark.parametrize(("fragments", "cut"), [(75_000, False), (76_000, True)])
    async def test_a_message_of_countless_fragments_is_cut_off(
        self, fragments: int, cut: bool, mock_clock: trio.testing.MockClock
    ) -> None:
        async with (
            open_websocket_server(StepModel(), seconds=math.inf) as kit,
            await kit.open() as socket,
        ):
            await socket.ask({"type": "unsubscribe", "runId": "r"})
            await socket.stream.send_all(b"\x01\x81\0\0\0\0?" + b"\x00\x80\0\0\0\0" * fragments)
            await trio.testing.wait_all_tasks_blocked(0.1)
            mock_clock.jump(15)
            await trio.testing.wait_all_tasks_blocked(0.1)
            with suppress(trio.BrokenResourceError):
                await socket.stream.send_all(b"\x80\x80\0\0\0\0")  # the last one
            answer = await socket.receive()
            assert answer is None if cut else answer["type"] == "error"
