"""Who may talk to a server: hosts, origins, principals."""

import pytest
import trio.testing
from server_kit import TOKENS, StepModel, endless, open_server
from starlette.requests import HTTPConnection

from trio_agent import Principal
from trio_agent.servers import Caller, Guard, Unauthorized, bearer_tokens
from trio_agent.servers._shared.guard import one_bearer_token, owner_of, path_of
from trio_agent.servers._shared.problem import Problem

APP = "https://app.example.com"


class TestPrincipals:
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

    async def test_one_token_of_nobody(self) -> None:
        authorize = one_bearer_token("the-only-token")
        scope = {"type": "http", "headers": [(b"authorization", b"Bearer the-only-token")]}
        assert await authorize(HTTPConnection(scope)) is None
        with pytest.raises(Unauthorized):
            await authorize(HTTPConnection({"type": "http", "headers": []}))

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


class TestBearerTokens:
    """Where a token may stand."""

    @pytest.mark.parametrize(
        ("kind", "headers", "principal"),
        [
            ("http", {"authorization": "Bearer alice-has-a-token"}, "alice"),
            ("http", {"authorization": "bearer  bob-has-another-one "}, "bob"),
            ("http", {"sec-websocket-protocol": "bearer, alice-has-a-token"}, None),
            ("websocket", {"authorization": "Bearer alice-has-a-token"}, "alice"),
            ("websocket", {"sec-websocket-protocol": "bearer, alice-has-a-token"}, "alice"),
            ("websocket", {"sec-websocket-protocol": "bearer,alice-has-a-token"}, "alice"),
            ("websocket", {"sec-websocket-protocol": "alice-has-a-token"}, None),
            ("websocket", {"sec-websocket-protocol": "alice-has-a-token, bearer"}, None),
            ("websocket", {"sec-websocket-protocol": "bearer"}, None),
            ("websocket", {"sec-websocket-protocol": "bearer, wrong"}, None),
            (
                "websocket",
                {
                    "authorization": "Bearer wrong",
                    "sec-websocket-protocol": "bearer, alice-has-a-token",
                },
                None,
            ),
        ],
    )
    async def test_where(self, kind: str, headers: dict[str, str], principal: str | None) -> None:
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = HTTPConnection({"type": kind, "path": "/", "headers": fields})
        authorize = bearer_tokens(TOKENS)
        if principal is None:
            with pytest.raises(Unauthorized):
                await authorize(request)
        else:
            assert await authorize(request) == principal


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
            for path in ("/runs", "/"):
                answer = await server.request("GET", path, host=host)
                assert (answer.status, answer.code) == (400, "bad-host")

    async def test_missing(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            await client.stream.send_all(b"GET /runs HTTP/1.1\r\n\r\n")
            assert (await client.receive_all()).startswith(b"HTTP/1.1 400 ")
        async with open_server(StepModel()) as server, await server.connect() as client:
            await client.stream.send_all(b"GET /runs HTTP/1.0\r\n\r\n")
            assert b'"bad-host"' in await client.receive_all()


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


@pytest.mark.parametrize(
    ("root", "path", "below"),
    [
        (None, "/runs", "/runs"),
        ("", "/", "/"),
        ("/v1", "/v1/runs", "/runs"),
        ("/v1", "/v1/", "/"),
        ("/v1", "/v1/v1/", "/v1/"),
        ("/v1", "/runs/v1/", "/runs/v1/"),
        ("/v1", "/v10/runs", "/v10/runs"),
        ("/v1", "/v1", "/v1"),
    ],
)
def test_paths_below_a_mounted_app(root: str | None, path: str, below: str) -> None:
    scope = {"path": path} if root is None else {"path": path, "root_path": root}
    assert path_of(scope) == below


class TestMounted:
    """A guard of an app that is mounted below a prefix: links lead to its page only."""

    @pytest.mark.parametrize(
        ("path", "mode", "allowed"),
        [
            ("/v1/", "navigate", True),
            ("/v1/", "no-cors", False),
            ("/v1/runs", "navigate", False),
            ("/v1/v1/", "navigate", False),
        ],
    )
    async def test_navigation(self, path: str, mode: str, allowed: bool) -> None:
        headers = {"host": "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": mode}
        scope = {
            "type": "http",
            "path": path,
            "root_path": "/v1",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        request = HTTPConnection(scope)
        if allowed:
            assert await Guard().check(request) is None
        else:
            with pytest.raises(Problem, match="bad-origin"):
                await Guard().check(request)


@pytest.mark.parametrize(
    ("caller", "owner"), [(None, None), ("ann", "ann"), (Principal("ann", {"role": "boss"}), "ann")]
)
def test_owners(caller: Caller, owner: str | None) -> None:
    assert owner_of(caller) == owner
