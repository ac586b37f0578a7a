"""Who may talk to the server: principals, hosts, origins, protocols."""

import pytest
import trio.testing
from server_kit import StepModel, endless, open_server
from starlette.requests import HTTPConnection

from trio_agent.servers import Guard, Unauthorized, bearer_tokens

ALICE = {"Authorization": "Bearer alice-has-a-token"}
BOB = {"Authorization": "Bearer bob-has-another-one"}
TOKENS = {"alice": "alice-has-a-token", "bob": "bob-has-another-one"}
APP = "https://app.example.com"


class TestPrincipals:
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

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            "Bearer alice-has-a-toke",
            "Bearer alice-has-a-token2",
            "Basic alice-has-a-token",
            "alice-has-a-token",
            "Bearer alice",
            "Bearer \xe9",
        ],
    )
    async def test_bad_credentials(self, given: str) -> None:
        authorize = bearer_tokens(TOKENS)
        scope = {"type": "http", "headers": [(b"authorization", given.encode("latin-1"))]}
        with pytest.raises(Unauthorized) as caught:
            await authorize(HTTPConnection(scope))
        assert "alice" not in str(caught.value)

    async def test_every_token_is_compared_in_constant_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compared = []

        def compare_digest(one: bytes, two: bytes) -> bool:
            compared.append(one)
            return one == two

        monkeypatch.setattr("trio_agent.servers._shared.guard.hmac.compare_digest", compare_digest)
        authorize = bearer_tokens(TOKENS)
        scope = {"type": "http", "headers": [(b"authorization", b"bearer  alice-has-a-token ")]}
        assert await authorize(HTTPConnection(scope)) == "alice"
        assert compared == [token.encode() for token in TOKENS.values()]

    async def test_hook_of_the_user(self) -> None:
        async def authorize(request: HTTPConnection) -> str | None:
            await trio.lowlevel.checkpoint()
            if request.headers.get("x-key") != "open sesame":
                raise Unauthorized("say the word")
            return "ali"

        async with open_server(endless("x"), guard=Guard(authorize=authorize)) as server:
            answer = await server.request("GET", "/runs")
            assert answer.json["error"] == {"code": "unauthorized", "message": "say the word"}
            answer = await server.request(
                "POST", "/runs", {"X-Key": "open sesame"}, {"prompt": "x"}
            )
            assert answer.status == 201
            info = await server.runtime.store.info(answer.json["id"])
            assert info.record.owner == "ali"

    async def test_hook_with_a_bug(self, caplog: pytest.LogCaptureFixture) -> None:
        async def authorize(request: HTTPConnection) -> str | None:
            raise KeyError("x")

        async with open_server(StepModel(), guard=Guard(authorize=authorize)) as server:
            answer = await server.request("GET", "/runs")
            assert (answer.status, answer.code) == (500, "internal")
        assert caplog.messages == ["GET /runs failed by a bug"]


class TestHosts:
    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "LOCALHOST:8000",
            "127.0.0.1",
            "127.0.0.1:8000",
            "[::1]",
            "[::1]:8000",
            "agents.example.com:443",
        ],
    )
    async def test_allowed(self, host: str) -> None:
        guard = Guard(hosts=["localhost", "127.0.0.1", "[::1]", "Agents.Example.com"])
        async with open_server(StepModel(), guard=guard) as server:
            assert (await server.request("GET", "/runs", host=host)).status == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example.com",
            "localhost.evil.example.com",
            "evil.example.com:8000",
            "127.0.0.2",
            "::1",
            "[::2]",
            "[::1].evil.example.com",
            "localhost@evil.example.com",
            "localhost:80@evil.example.com",
            "evil.example.com/localhost",
            ":8000",
            "[",
            "]",
        ],
    )
    async def test_refused(self, host: str) -> None:
        async with open_server(StepModel()) as server:
            for path in ("/runs", "/health/live", "/"):
                answer = await server.request("GET", path, host=host)
                assert (answer.status, answer.code) == (400, "bad-host")

    async def test_missing(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            await client.stream.send_all(b"GET /runs HTTP/1.1\r\n\r\n")
            assert (await client.receive_all()).startswith(b"HTTP/1.1 400 ")
        async with open_server(StepModel()) as server, await server.connect() as client:
            await client.stream.send_all(b"GET /runs HTTP/1.0\r\n\r\n")
            assert b'"bad-host"' in await client.receive_all()

    @pytest.mark.parametrize("port", ["80/health/live?", "80/health/live#", "/health/live", "x"])
    async def test_host_can_not_pass_for_an_open_path(self, port: str) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(StepModel(), guard=guard) as server:
            answer = await server.request("GET", "/runs", host=f"localhost:{port}")
            assert answer.status in (400, 401)


class TestOrigins:
    async def test_own_origin(self) -> None:
        async with open_server(StepModel()) as server:
            for headers in (
                {},
                {"Origin": server.url},
                {"Origin": server.url.upper()},
                {"Origin": server.url, "Sec-Fetch-Site": "same-origin"},
                {"Sec-Fetch-Site": "same-origin"},
                {"Sec-Fetch-Site": "none"},
            ):
                answer = await server.request("GET", "/runs", headers)
                assert answer.status == 200
                assert "access-control-allow-origin" not in answer.headers

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": APP},
            {"Origin": "null"},
            {"Origin": "http://localhost"},
            {"Origin": "http://[::1"},
            {"Origin": ""},
            {"Origin": "http://evil.example.com", "Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        ],
        ids=repr,
    )
    async def test_foreign_origin(self, headers: dict[str, str]) -> None:
        async with open_server(StepModel()) as server, server.http() as http:
            for answer in (
                await http.post("/runs", json={"prompt": "x"}, headers=headers),
                await http.get("/stream?prompt=x", headers=headers),
            ):
                assert answer.status_code == 403
                assert answer.json()["error"]["code"] == "bad-origin"
            assert server.runtime.statistics().active == 0

    async def test_link_to_the_page(self) -> None:
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        async with open_server(StepModel()) as server:
            assert (await server.request("GET", "/", headers)).status != 403

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

    async def test_preflight_where_no_origin_is_allowed(self) -> None:
        async with open_server(StepModel()) as server:
            headers = {"Origin": APP, "Access-Control-Request-Method": "POST"}
            answer = await server.request("OPTIONS", "/runs", headers)
            assert (answer.status, answer.code) == (403, "bad-origin")


class TestProtocols:
    WEBSOCKET = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    )

    async def test_websocket_on_the_http_port(self) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(StepModel(), guard=guard) as server:
            for path, headers, status in [
                ("/nope", ALICE, 404),
                ("/runs", {}, 401),
                ("/runs", ALICE, 200),
            ]:
                answer = await server.request("GET", path, {**dict(self.WEBSOCKET), **headers})
                assert answer.status == status
            answer = await server.request("GET", "/runs", dict(self.WEBSOCKET), host="evil.com")
            assert (answer.status, answer.code) == (400, "bad-host")

    async def test_bytes_behind_a_refused_upgrade(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            request = client.encode("GET", "/nope", self.WEBSOCKET)
            await client.stream.send_all(request + b"\x81\x85\0\0\0\0hello" * 100)
            answer = await client.stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 404 ")
            await client.stream.send_eof()
            raw = answer + await client.receive_all()
            assert raw.count(b"HTTP/1.1 ") <= 2  # the second: that is no HTTP

    async def test_h2c_upgrade_is_ignored(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            headers = {
                "Upgrade": "h2c",
                "Connection": "Upgrade, HTTP2-Settings",
                "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA",
            }
            answer = await client.request("GET", "/runs", headers)
            assert (answer.status, answer.json) == (200, {"runs": [], "next": None})
            assert (await client.request("GET", "/agents")).status == 200

    async def test_http_2_with_prior_knowledge(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
            await client.stream.send_all(preface)
            raw = await client.receive_all()
            assert raw.startswith(b"HTTP/1.1 400 ")
            assert b"\0" not in raw
