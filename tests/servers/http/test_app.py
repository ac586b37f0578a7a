"""The app as a whole: who gets to its routes, and how it is hosted."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
import trio
from server_kit import (
    ALICE,
    TOKENS,
    Client,
    StepModel,
    endless,
    logged,
    open_server,
)
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message
from till_kit import Till, asleep

from trio_agent import Agent, MemoryStore, SQLiteStore, StoreUnavailable, open_runtime
from trio_agent.servers import Guard, Service, bearer_tokens, create_app, serve_http
from trio_agent.servers.http._app import MAX_BODY
from trio_agent.servers.http._page import PATHS
from trio_agent.testing import ScriptedModel

APP = "https://app.example.com"


class TestGuarded:
    async def test_without_credentials(self) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(StepModel(), guard=guard) as server:
            run = await server.start()
            for method, path in [
                ("GET", "/runs"),
                ("POST", "/runs"),
                ("GET", f"/runs/{run.id}"),
                ("DELETE", f"/runs/{run.id}"),
                ("GET", f"/runs/{run.id}/events"),
                ("POST", f"/runs/{run.id}/cancel"),
                ("POST", f"/runs/{run.id}/answers"),
                ("POST", f"/runs/{run.id}/messages"),
                ("GET", "/agents"),
                ("GET", "/schema"),
                ("GET", "/stream?prompt=x"),
                ("GET", f"/stream/{run.id}/resume"),
                ("GET", "/nope"),
                ("PUT", "/runs"),
                ("GET", "/health/live/"),
                ("GET", "//health/live"),
                ("GET", "/runs?/health/live"),
            ]:
                answer = await server.request(method, path)
                assert (answer.status, answer.code) == (401, "unauthorized"), path
                assert answer.headers["www-authenticate"] == "Bearer"
            assert run.status == "active"
            assert server.runtime.statistics().active == 1
            for path in ("/health/live", "/health/ready"):
                assert (await server.request("GET", path)).status == 200

    @pytest.mark.parametrize("port", ["80/health/live?", "80/health/live#", "/health/live", "x"])
    async def test_host_can_not_pass_for_an_open_path(self, port: str) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(StepModel(), guard=guard) as server:
            answer = await server.request("GET", "/runs", host=f"localhost:{port}")
            assert answer.status in (400, 401)

    async def test_bodies_of_strangers_are_not_read(self) -> None:
        """They are refused by their heads, and what comes behind is thrown away."""
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(StepModel(), guard=guard) as server:
            for path in ("/runs", "/", "/page/app.js"):
                async with await server.connect() as client:
                    length = ("Content-Length", "1000000")
                    await client.stream.send_all(client.encode("POST", path, [length]))
                    client._expect("POST")
                    answer = await client.receive_body(await client.receive_head(), until=b"}}")
                    assert (answer.status, answer.code) == (401, "unauthorized")
                    # It is read to its end, so that who sends first and reads then can read.
                    await client.stream.send_all(b"x" * 1_000_000)
                    assert (await client.receive_body(answer)).complete
                    assert (await client.request("GET", "/runs", ALICE)).status == 200

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_the_page_is_public_to_look_at_only(self, method: str) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(StepModel(), guard=guard) as server:
            for path in PATHS:
                assert (await server.request(method, path)).status == 200
                assert (await server.request("POST", path)).status == 401


class TestOtherOrigins:
    async def test_allowed_origin(self) -> None:
        async with open_server(endless("x"), guard=Guard(origins=[APP])) as server:
            headers = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
            answer = await server.request("POST", "/runs", headers, {"prompt": "x"})
            assert answer.status == 201
            assert answer.headers["access-control-allow-origin"] == APP
            assert "location" in answer.headers["access-control-expose-headers"]
            assert "Origin" in answer.headers["vary"]
            answer = await server.request("GET", f"{answer.headers['location']}/events", headers)
            assert answer.headers["access-control-allow-origin"] == APP
            answer = await server.request("GET", "/runs", {"Origin": "https://other.example.com"})
            assert answer.status == 403
            assert "access-control-allow-origin" not in answer.headers

    async def test_errors_can_be_read_by_an_allowed_origin(self) -> None:
        guard = Guard(origins=[APP], authorize=bearer_tokens(TOKENS))
        async with open_server(StepModel(), guard=guard) as server:
            for method, path, headers, status in [
                ("GET", "/runs", {}, 401),
                ("GET", "/runs/nope", ALICE, 404),
                ("PUT", "/runs", ALICE, 405),
                ("POST", "/runs", ALICE, 415),
            ]:
                answer = await server.request(method, path, {"Origin": APP, **headers})
                assert answer.status == status
                assert answer.headers["access-control-allow-origin"] == APP

    async def test_preflight(self) -> None:
        guard = Guard(origins=[APP], authorize=bearer_tokens(TOKENS))
        async with open_server(StepModel(), guard=guard) as server:
            headers = {
                "Origin": APP,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": (
                    "authorization,content-type,idempotency-key,last-event-id"
                ),
            }
            answer = await server.request("OPTIONS", "/runs", headers)
            assert answer.status == 200
            assert answer.headers["access-control-allow-origin"] == APP
            assert "POST" in answer.headers["access-control-allow-methods"]
            foreign = {**headers, "Origin": "https://other.example.com"}
            answer = await server.request("OPTIONS", "/runs", foreign)
            assert answer.status == 400
            assert "access-control-allow-origin" not in answer.headers

    @pytest.mark.parametrize(
        ("name", "allowed"),
        [
            ("traceparent", True),
            ("tracestate", True),
            ("baggage", True),
            ("Sentry-Trace", True),
            ("x-requested-with", True),
            ("X-Tenant", True),
            ("x-other", False),
        ],
    )
    async def test_headers_that_pages_add(self, name: str, allowed: bool) -> None:
        guard = Guard(origins=[APP], headers=["X-Tenant"])
        async with open_server(StepModel(), guard=guard) as server:
            headers = {
                "Origin": APP,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": f"content-type,{name}",
            }
            answer = await server.request("OPTIONS", "/runs", headers)
            assert answer.status == (200 if allowed else 400)

    async def test_preflight_where_no_origin_is_allowed(self) -> None:
        async with open_server(StepModel()) as server:
            headers = {"Origin": APP, "Access-Control-Request-Method": "POST"}
            answer = await server.request("OPTIONS", "/runs", headers)
            assert (answer.status, answer.code) == (403, "bad-origin")


def mounted(app: ASGIApp) -> ASGIApp:
    """Put an app below a prefix of another one, as its users do."""
    inner = Starlette(routes=[Mount("/v1", app=app)])
    return Starlette(routes=[Mount("/agents", app=inner), Mount("/plain", app=app)])


@pytest.mark.parametrize("prefix", ["/agents/v1", "/plain"])
class TestMounted:
    """Below a prefix all is as it is at the root."""

    async def test_links_lead_to_the_run(self, prefix: str) -> None:
        async with open_server(endless("x"), wrap=mounted) as server:
            answer = await server.request("POST", f"{prefix}/runs", body={"prompt": "x"})
            view = answer.json
            assert answer.headers["location"] == f"{prefix}/runs/{view['id']}"
            shown = await server.request("GET", answer.headers["location"])
            assert (shown.status, shown.json["id"]) == (200, view["id"])
            listed = await server.request("GET", f"{prefix}/runs")
            for events in (view["events"], shown.json["events"], listed.json["runs"][0]["events"]):
                followed = await server.request("GET", events)
                assert followed.events[0][1]["runId"] == view["id"]
            headers = {"Accept": "text/event-stream"}
            answer = await server.request("POST", f"{prefix}/runs", headers, {"prompt": "x"})
            run_id = answer.events[0][1]["runId"]
            assert answer.headers["location"] == f"{prefix}/runs/{run_id}"

    async def test_a_pending_cancel_has_its_links(
        self, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("trio_agent.servers._shared.service._CANCEL_WAIT", 0.0)
        async with open_server(StepModel(), wrap=mounted) as server:
            run = await server.start()
            answer = await server.request("POST", f"{prefix}/runs/{run.id}/cancel")
            assert (answer.status, answer.json["events"]) == (
                202,
                f"{prefix}/runs/{run.id}/events",
            )

    async def test_what_is_public_is_public(self, prefix: str) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(StepModel(), guard=guard, wrap=mounted) as server:
            for path in (*PATHS, "/health/live", "/health/ready"):
                assert (await server.request("GET", prefix + path)).status == 200, path

    async def test_what_is_not_is_not(self, prefix: str) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(StepModel(), guard=guard, wrap=mounted) as server:
            for path in (
                "/runs",
                "/agents",
                "/schema",
                "/stream?prompt=x",
                "/nope",
                "//",
                "/health/live/",
                "//health/live",
                f"{prefix}/health/live",
                f"{prefix}/",
            ):
                answer = await server.request("GET", prefix + path)
                assert (answer.status, answer.code) == (401, "unauthorized"), path
            assert (await server.request("GET", f"{prefix}/agents", ALICE)).status == 200

    async def test_a_link_from_elsewhere_opens_the_page_and_nothing_more(self, prefix: str) -> None:
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        async with open_server(StepModel(), wrap=mounted) as server:
            assert (await server.request("GET", f"{prefix}/", link)).status == 200
            for path, headers in [
                ("/", embedded),
                ("/page/app.js", link),
                ("/runs", link),
                ("/stream?prompt=x", link),
                (f"{prefix}/", link),
            ]:
                answer = await server.request("GET", prefix + path, headers)
                assert (answer.status, answer.code) == (403, "bad-origin"), path
            assert server.runtime.statistics().active == 0

    async def test_the_pages_own_links_are_relative(self, prefix: str) -> None:
        async with open_server(StepModel(), wrap=mounted) as server:
            page = (await server.request("GET", f"{prefix}/")).body.decode()
            links = re.findall(r'(?:href|src)="([^"#:]+)"', page)
            assert len(links) >= 2
            for link in links:
                url = urljoin(f"{server.url}{prefix}/", link)
                answer = await server.request("GET", urlsplit(url).path)
                assert answer.status == 200, link

    async def test_other_origins_and_large_bodies(self, prefix: str) -> None:
        async with open_server(StepModel(), guard=Guard(origins=[APP]), wrap=mounted) as server:
            headers = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
            answer = await server.request("GET", f"{prefix}/runs", headers)
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, APP)
            body = b" " * (MAX_BODY + 1)
            answer = await server.request("POST", f"{prefix}/runs", headers, body)
            assert (answer.status, answer.code) == (413, "too-large")


class TestServeHTTP:
    async def test_serve_http(self) -> None:
        async with open_runtime() as runtime, trio.open_nursery() as nursery:
            agents = [Agent(model=endless("x"))]
            (address,) = await nursery.start(serve_http, runtime, agents)
            host, port = address.removeprefix("http://").split(":")
            stream = await trio.open_tcp_stream(host, int(port))
            async with Client(stream, f"{host}:{port}") as client:
                answer = await client.request("GET", "/stream?prompt=x")
                assert answer.complete
            await runtime.drain(1)

    async def test_serve_http_on_ipv6(self) -> None:
        async with open_runtime() as runtime, trio.open_nursery() as nursery:
            agents = [Agent(model=endless("x"))]
            try:
                (address,) = await nursery.start(partial(serve_http, runtime, agents, host="::1"))
            except OSError as exc:
                pytest.skip(f"no IPv6 here: {exc}")
            assert address.startswith("http://[::1]:")
            port = int(address.rpartition(":")[2])
            async with Client(await trio.open_tcp_stream("::1", port), f"[::1]:{port}") as client:
                assert (await client.request("GET", "/runs")).status == 200
            await runtime.drain(1)

    async def test_streams_of_runs_that_outlive_it(self, tmp_path: Path) -> None:
        """They end so that clients come again, and find the run at the next start."""
        till = Till()
        agents = [Agent(model=StepModel(), name="steps"), till.agent]
        path = tmp_path / "runs.db"
        async with (
            open_runtime(store=SQLiteStore(path), agents=agents) as runtime,
            trio.open_nursery() as nursery,
        ):
            (address,) = await nursery.start(partial(serve_http, runtime, agents))
            host, port = address.removeprefix("http://").split(":")
            runs = [await runtime.start(agent, "hi") for agent in agents]
            await asleep(runs[1])
            streams = []
            for run, last in zip(runs, ("step-start", "waiting"), strict=True):
                client = Client(await trio.open_tcp_stream(host, int(port)), f"{host}:{port}")
                answer = await client.watch(f"/runs/{run.id}/events")
                await client.receive_body(answer, until=f'"type":"{last}"'.encode())
                streams.append((client, answer))
            await runtime.drain(0)
            for client, answer in streams:
                async with client:
                    await client.receive_body(answer)
                assert answer.complete
                assert answer.body.count(b"retry: ") == 2
        async with open_server(*agents, store=SQLiteStore(path)) as server:
            body = {"callId": "c1", "approve": True}
            answer = await server.request("POST", f"/runs/{runs[1].id}/answers", body=body)
            assert answer.status == 200
            seen = streams[1][1].events
            after = {"Last-Event-ID": seen[-1][0]}
            rest = await server.request("GET", f"/runs/{runs[1].id}/events", after)
            run = await server.runtime.find(runs[1].id)
            everything = [(id_, json.loads(data)) for id_, data in await logged(run, server)]
            assert [*seen, *rest.events] == everything
            assert rest.events[0][1]["type"] == "continued"

    async def test_settings(self) -> None:
        class Away(MemoryStore):
            async def check(self) -> None:
                raise StoreUnavailable("it is locked")

        settings = {"max_body": 100, "max_connections": 1, "root_path": "/agents"}
        async with open_runtime(store=Away()) as runtime, trio.open_nursery() as nursery:
            agents = [Agent(model=StepModel())]
            start = partial(serve_http, runtime, agents, heartbeat=0.01, **settings)
            (address,) = await nursery.start(start)
            host, port = address.removeprefix("http://").split(":")
            stream = await trio.open_tcp_stream(host, int(port))
            async with Client(stream, f"{host}:{port}") as client:
                # A proxy may cut the path off or leave it.
                for path in ("/runs", "/agents/runs"):
                    answer = await client.request("POST", path, body={"prompt": "x"})
                    run_id = answer.json["id"]
                    assert answer.headers["location"] == f"/agents/runs/{run_id}"
                    assert answer.json["events"] == f"/agents/runs/{run_id}/events"
                answer = await client.request("POST", "/runs", body={"prompt": "x" * 100})
                assert (answer.status, answer.code) == (413, "too-large")
                answer = await client.request("GET", "/health/ready")
                assert (answer.status, answer.code) == (503, "store-unavailable")
                other = await trio.open_tcp_stream(host, int(port))
                async with Client(other, f"{host}:{port}") as one_too_many:
                    assert (await one_too_many.request("GET", "/runs")).status == 503
                answer = await client.watch(f"/agents/runs/{run_id}/events")
                await client.receive_body(answer, until=b": \n\n")
            await runtime.drain(0)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"host": "0.0.0.0"}, "without authorize only loopback addresses"),
            ({"host": "", "guard": Guard(hosts=["x"])}, "without authorize"),
            ({"root_path": "agents"}, "root_path begins with a slash"),
            ({"root_path": "/agents/"}, "root_path begins with a slash"),
        ],
    )
    async def test_settings_that_are_refused(self, settings: Any, message: str) -> None:
        async with open_runtime() as runtime:
            with pytest.raises(ValueError, match=message):
                await serve_http(runtime, [Agent(model=StepModel())], **settings)

    async def test_serve_http_that_can_not_start(self) -> None:
        async with open_runtime() as runtime, trio.open_nursery() as nursery:
            with pytest.raises(ValueError, match="at least one agent"):
                await nursery.start(serve_http, runtime, [])
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            async with listener:
                port = listener.socket.getsockname()[1]
                start = partial(serve_http, runtime, [Agent(model=endless("x"))], port=port)
                with pytest.raises(OSError, match="in use"):
                    await nursery.start(start)


async def test_lifespan_of_other_asgi_servers() -> None:
    received = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return received.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async with open_runtime() as runtime:
        app = create_app(Service(runtime, [Agent(model=StepModel())]))
        await app({"type": "lifespan", "state": {}}, receive, send)
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_a_handshake_for_a_websocket_is_refused() -> None:
    """It may come where the app is mounted below another one; the WebSocket has its own server."""
    sent: list[Message] = []

    async def receive() -> Message:
        await trio.lowlevel.checkpoint()
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(message)

    async with open_runtime() as runtime:
        app = create_app(Service(runtime, [Agent(model=ScriptedModel())]))
        await app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close"}]


async def test_a_prefix_that_a_url_can_not_have_as_it_is() -> None:
    """Links are URLs, whatever the prefix is."""

    def below(app: ASGIApp) -> ASGIApp:
        return Starlette(routes=[Mount("/日本 ä", app)])

    async with open_server(endless("x"), wrap=below) as server:
        prefix = quote("/日本 ä")
        answer = await server.request("POST", f"{prefix}/runs", body={"prompt": "x"})
        assert answer.headers["location"] == f"{prefix}/runs/{answer.json['id']}"
        assert answer.json["events"] == f"{prefix}/runs/{answer.json['id']}/events"
        shown = await server.request("GET", answer.headers["location"])
        assert (shown.status, shown.json["id"]) == (200, answer.json["id"])
