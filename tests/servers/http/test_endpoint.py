"""One path: its handlers by method, and their errors as answers."""

import httpx
import pytest
from server_kit import StepModel, open_server
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trio_agent.servers._shared.problem import Problem
from trio_agent.servers.http._endpoint import Endpoint, Handler


async def ask(endpoint: Endpoint, method: str) -> httpx.Response:
    transport = httpx.ASGITransport(endpoint)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, "/")


def answering(text: str) -> Handler:
    async def handle(request: Request) -> Response:
        return Response(headers={"x-handled": f"{request.method} {text}"})

    return handle


class TestMethods:
    @pytest.mark.parametrize(
        ("method", "answer"), [("GET", "GET got"), ("POST", "POST made"), ("HEAD", "HEAD got")]
    )
    async def test_each_has_its_handler(self, method: str, answer: str) -> None:
        endpoint = Endpoint({"GET": answering("got"), "POST": answering("made")})
        response = await ask(endpoint, method)
        assert (response.status_code, response.headers["x-handled"]) == (200, answer)

    @pytest.mark.parametrize(
        ("handled", "method", "allow"),
        [
            (["GET"], "POST", "GET, HEAD"),
            (["POST"], "GET", "POST"),
            (["POST"], "HEAD", "POST"),
            (["GET", "DELETE"], "OPTIONS", "GET, DELETE, HEAD"),
        ],
    )
    async def test_another_is_told_which_there_are(
        self, handled: list[str], method: str, allow: str
    ) -> None:
        response = await ask(Endpoint({name: answering("x") for name in handled}), method)
        assert response.status_code == 405
        assert response.headers["allow"] == allow
        assert "x-handled" not in response.headers

    async def test_without_handlers_there_is_nothing(self) -> None:
        response = await ask(Endpoint({}), "GET")
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not-found"


async def test_errors_of_a_handler_are_answers() -> None:
    async def refuse(request: Request) -> Response:
        raise Problem(409, "run-active", "not now", {"retry-after": "7"})

    response = await ask(Endpoint({"GET": refuse}), "GET")
    assert (response.status_code, response.headers["retry-after"]) == (409, "7")
    assert response.json() == {"error": {"code": "run-active", "message": "not now"}}


async def test_nothing_stands_between_a_response_and_the_server() -> None:
    """A stream's sends are many."""
    got: list[object] = []

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        got.extend([scope, receive, send])

    async def handle(request: Request) -> ASGIApp:
        return respond

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await Endpoint({"GET": handle})(scope, receive, send)
    assert all(one is other for one, other in zip(got, [scope, receive, send], strict=True))


async def test_an_error_behind_the_answers_start_is_the_servers() -> None:
    """It can't be answered any more: the connection is cut, so that nobody takes it for whole."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    async def handle(request: Request) -> ASGIApp:
        return respond

    with pytest.raises(ZeroDivisionError):
        await ask(Endpoint({"GET": handle}), "GET")


async def test_not_found_and_method_not_allowed() -> None:
    async with open_server(StepModel()) as server:
        answer = await server.request("GET", "/nope")
        assert (answer.status, answer.code) == (404, "not-found")
        for method, path, allowed in [
            ("PUT", "/runs", {"GET", "HEAD", "POST"}),
            ("PATCH", "/runs/x", {"GET", "HEAD", "DELETE"}),
            ("GET", "/runs/x/cancel", {"POST"}),
            ("POST", "/stream?prompt=x", {"GET", "HEAD"}),
        ]:
            answer = await server.request(method, path, body={})
            assert (answer.status, answer.code) == (405, "method-not-allowed")
            assert set(answer.headers["allow"].split(", ")) == allowed


async def test_bug_in_a_handler_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async with open_server(StepModel()) as server:

        async def find(*args: object) -> None:
            raise ZeroDivisionError("with a secret")

        server.runtime.store.find = find  # type: ignore[assignment, method-assign]
        async with await server.connect() as client:
            answer = await client.request("GET", "/runs")
            assert (answer.status, answer.code) == (500, "internal")
            assert b"secret" not in answer.body
            # The server and even the connection live on.
            assert (await client.request("GET", "/agents")).status == 200
    assert caplog.messages == ["GET /runs failed by a bug"]
