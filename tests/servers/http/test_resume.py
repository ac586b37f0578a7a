"""Clients that come back, each in its own way: no second run, and no door shut for good."""

from typing import Any

import pytest
from server_kit import ALICE, TOKENS, Server, StepModel, endless, open_server
from starlette.requests import Request

from trio_agent import Agent, MemoryStore, RuntimeLimits, StoreUnavailable
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.servers.http._resume import cursor_of

SSE = {"Accept": "text/event-stream"}
BODY = {"prompt": "x"}
GET = "/stream?prompt=x"


def request(headers: dict[str, str], query: str) -> Request:
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": fields, "query_string": query.encode()})


@pytest.mark.parametrize(
    ("headers", "query", "cursor"),
    [
        ({}, "", None),
        ({"Last-Event-ID": "a"}, "", "a"),
        ({"last-event-id": ""}, "lastEventId=b", "b"),
        ({"Last-Event-ID": "a"}, "lastEventId=b&after=c", "a"),
        ({}, "lastEventId=b", "b"),
        ({}, "lastEventID=b", "b"),
        ({}, "last-event-id=b", "b"),
        ({}, "Last-Event-ID=b", "b"),
        ({}, "last_event_id=b", "b"),
        ({}, "evs_last_event_id=b", "b"),
        ({}, "cursor=b", "b"),
        ({}, "after=b", "b"),
        # The URL of the first request is older than what the library adds to it.
        ({}, "after=c&cursor=d&lastEventId=b", "b"),
        ({}, "lastEventId=b1&lastEventId=b2", "b2"),
        ({}, "lastEventId=&after=c", "c"),
        ({}, "lastEventId=", None),
        ({}, "after=", ""),
        ({}, "prompt=after", None),
    ],
)
def test_where_a_cursor_comes_from(headers: dict[str, str], query: str, cursor: str | None) -> None:
    assert cursor_of(request(headers, query)) == cursor


async def begin(server: Server, model: StepModel) -> list[tuple[str, Any]]:
    """Start a run and watch it for a while; returns what was seen before the connection is cut."""
    model.say("a")
    async with await server.connect() as client:
        await client.send("POST", "/runs", {**SSE, "Idempotency-Key": "k"}, BODY)
        answer = await client.receive_body(await client.receive_head(), until=b'"delta":"a"')
        assert answer.status == 200
        return answer.events


class TestEachClient:
    """The request with which each comes back, after it has lost a connection."""

    @pytest.mark.parametrize(
        ("method", "path", "headers"),
        [
            # @microsoft/fetch-event-source, sse.js, launchdarkly-eventsource, reqwest-eventsource,
            # okhttp-eventsource: the same request with a header, whose case differs
            ("POST", "/runs", {"last-event-id": "CURSOR"}),
            ("POST", "/runs", {"Last-Event-ID": "CURSOR", "Idempotency-Key": "k"}),
            ("POST", "/runs", {"Last-Event-Id": "CURSOR", "Idempotency-Key": "another"}),
            # httpx-sse and sseclient leave it to their users
            ("POST", "/runs?cursor=CURSOR", {}),
            ("POST", "/runs?after=CURSOR", {"Idempotency-Key": "k"}),
            # EventSource
            ("GET", GET, {"Last-Event-ID": "CURSOR"}),
            ("GET", f"{GET}&key=k", {"Last-Event-ID": "CURSOR"}),
            # event-source-polyfill, and an older one
            ("GET", f"{GET}&lastEventId=CURSOR", {}),
            ("GET", f"{GET}&key=k&lastEventId=CURSOR", {}),
            ("GET", f"{GET}&evs_last_event_id=CURSOR", {}),
            ("GET", "/runs/RUN/events?after=0&lastEventId=CURSOR", {}),
            ("GET", "/stream/RUN/resume?position=0&lastEventId=CURSOR", {}),
        ],
    )
    async def test_goes_on_with_its_run(
        self, method: str, path: str, headers: dict[str, str]
    ) -> None:
        model = StepModel()
        async with open_server(model) as server:
            seen = await begin(server, model)
            cursor = seen[-1][0]
            run_id = cursor.partition(".")[0]
            model.say("b")
            model.finish()
            path = path.replace("CURSOR", cursor).replace("RUN", run_id)
            headers = {name: value.replace("CURSOR", cursor) for name, value in headers.items()}
            body = BODY if method == "POST" else b""
            answer = await server.request(method, path, {**SSE, **headers}, body)
            assert (answer.status, answer.complete) == (200, True)
            text = [event.get("delta") for _, event in seen + answer.events]
            assert [delta for delta in text if delta is not None] == ["a", "b"]
            if "/runs/" not in path and "/stream/" not in path:
                assert answer.headers["location"] == f"/runs/{run_id}"
            assert model.asked == 1

    async def test_before_its_first_event_the_key_finds_the_run(self) -> None:
        model = StepModel()
        async with open_server(model) as server:
            await begin(server, model)
            model.finish()
            headers = {**SSE, "Idempotency-Key": "k"}
            answer = await server.request("POST", "/runs", headers, BODY)
            assert answer.events[0][1]["type"] == "run-start"
            assert model.asked == 1

    async def test_who_takes_json_gets_the_run(self) -> None:
        model = StepModel()
        async with open_server(model) as server:
            cursor = (await begin(server, model))[-1][0]
            answer = await server.request("POST", "/runs", {"Last-Event-ID": cursor}, BODY)
            run_id = cursor.partition(".")[0]
            assert (answer.status, answer.json["id"]) == (200, run_id)
            assert answer.headers["location"] == f"/runs/{run_id}"
            assert model.asked == 1

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_what_can_not_be_resumed_is_said(self, method: str) -> None:
        model = StepModel()
        async with open_server(model) as server:
            cursor = (await begin(server, model))[-1][0]
            model.finish()
            await (await server.runtime.find(cursor.partition(".")[0])).wait()
            end = cursor.rpartition(".")[0] + ".6"
            path = "/runs" if method == "POST" else GET
            body = BODY if method == "POST" else b""
            for bad, status in [
                ("junk", 400),
                ("0", 400),
                ("x.y.1", 404),
                (f"{cursor}9", 410),
                (end, 204),
            ]:
                headers = {**SSE, "Last-Event-ID": bad}
                assert (await server.request(method, path, headers, body)).status == status
            await server.runtime.delete(cursor.partition(".")[0])
            answer = await server.request(method, path, {**SSE, "Last-Event-ID": cursor}, body)
            assert answer.status == 410
            assert model.asked == 1

    async def test_somebody_elses_cursor(self) -> None:
        model = StepModel()
        async with open_server(model, guard=Guard(authorize=bearer_tokens(TOKENS))) as server:
            run = await server.start(owner="bob")
            headers = {**SSE, **ALICE, "Last-Event-ID": str(run.cursor)}
            answer = await server.request("POST", "/runs", headers, BODY)
            assert (answer.status, answer.code) == (404, "unknown-run")


class Absent(MemoryStore):
    """A store that can be away."""

    away = False

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("/srv/runs.db: database is locked")

    async def create(self, record: Any) -> Any:
        self._check()
        return await super().create(record)

    async def info(self, run_id: str) -> Any:
        self._check()
        return await super().info(run_id)


class TestStoreIsAway:
    """503 closes an EventSource for ever, so it is answered so that it comes again."""

    @staticmethod
    async def ask(method: str, path: str, headers: dict[str, str]) -> Any:
        store = Absent()
        agent = Agent(name="agent", model=endless("x"))
        async with open_server(agent, store=store) as other:
            run = await other.start()
            await run.wait()
            cursor = str(run.cursor).rpartition(".")[0] + ".1"
        async with open_server(agent, store=store) as server:
            path = path.replace("CURSOR", cursor).replace("RUN", run.id)
            headers = {name: value.replace("CURSOR", cursor) for name, value in headers.items()}
            body = BODY if method == "POST" else b""
            store.away = True
            answer = await server.request(method, path, headers, body)
            store.away = False
            if answer.status == 200:
                again = await server.request(method, path, headers, body)
                assert (again.status, again.complete) == (200, True)
                assert again.events[-1][1]["type"] == "run-finish"
            return answer

    @pytest.mark.parametrize(
        ("method", "path", "headers"),
        [
            ("GET", "/runs/RUN/events", {}),
            ("GET", "/runs/RUN/events", {"Last-Event-ID": "CURSOR"}),
            ("GET", "/stream/RUN/resume?position=1", {}),
            ("GET", GET, {"Last-Event-ID": "CURSOR"}),
            ("GET", f"{GET}&lastEventId=CURSOR", {}),
            ("GET", f"{GET}&key=k", {}),
            ("POST", "/runs", {"Last-Event-ID": "CURSOR"}),
            ("POST", "/runs", {"Idempotency-Key": "k"}),
        ],
    )
    async def test_who_only_goes_on_comes_again(
        self, method: str, path: str, headers: dict[str, str]
    ) -> None:
        answer = await self.ask(method, path, {**SSE, **headers})
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        field, milliseconds = answer.body.decode().split()
        assert field == "retry:"
        assert 1000 <= int(milliseconds) <= 5000
        # Without its end, which some would take for the run's.
        assert not answer.complete

    @pytest.mark.parametrize(
        ("method", "path", "headers"),
        [
            # A start that would not be the same one again
            ("GET", GET, SSE),
            ("POST", "/runs", SSE),
            # Programs that can read an error
            ("GET", "/runs/RUN/events", {}),
            ("GET", "/runs/RUN/events", {"Accept": "*/*"}),
            ("GET", "/runs/RUN/events", {"Accept": "text/event-stream, application/json"}),
            ("POST", "/runs", {"Last-Event-ID": "CURSOR"}),
            ("GET", "/runs/RUN", SSE),
            ("POST", "/runs/RUN/cancel", SSE),
        ],
    )
    async def test_all_others_get_the_error(
        self, method: str, path: str, headers: dict[str, str]
    ) -> None:
        answer = await self.ask(method, path, headers)
        assert (answer.status, answer.code) == (503, "store-unavailable")
        assert "retry-after" in answer.headers
        assert b"/srv" not in answer.body

    async def test_a_full_server_too(self) -> None:
        limits = RuntimeLimits(max_streams=1)
        async with open_server(StepModel(), limits=limits) as server:
            await server.start()
            for headers, status in (({"Idempotency-Key": "k"}, 200), ({}, 503)):
                answer = await server.request("POST", "/runs", {**SSE, **headers}, BODY)
                assert (answer.status, answer.complete) == (status, status == 503)
