"""A server behind a URL: each kind of answer, on real sockets, with the handshake of 2025.

(The protocol of 2026 is spoken in `test_connection` and `test_open`, with the SDK's server.)
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import attrs
import pytest
import trio

pytest.importorskip("mcp", reason="pip install 'trio-agent[mcp]'")

from mcp_kit import PATIENCE, Progress, call, refusal, tools_of

from trio_agent._errors import ToolSourceError
from trio_agent.tools._source import OpenTools
from trio_agent.tools.mcp import MCPServer, _endpoint


@attrs.frozen
class Request:
    method: str
    headers: dict[str, str]
    message: dict[str, Any]


@attrs.define
class Server:
    """Answers as `special` says, by the message's or else the request's method."""

    special: dict[str, Callable[["Server", Request, trio.SocketStream], Awaitable[None]]]
    seen: list[Request] = attrs.field(factory=list)
    left: trio.Event = attrs.field(factory=trio.Event)
    listening: trio.Event = attrs.field(factory=trio.Event)
    say: trio.Event = attrs.field(factory=trio.Event)

    async def handle(self, stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = await stream.receive_some()
            if not more:
                return
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += await stream.receive_some()
        request = Request(first.split()[0], headers, json.loads(body or b"{}"))
        self.seen.append(request)
        name = request.message.get("method", request.method)
        # Who asked may have heard enough.
        with suppress(trio.BrokenResourceError):
            await self.special.get(name, self.plain(name))(self, request, stream)

    def plain(self, name: str) -> Any:
        results: dict[str, Any] = {
            "initialize": {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "by hand", "version": "1"},
            },
            "tools/list": {"tools": [{"name": "it", "inputSchema": {"type": "object"}}]},
            "tools/call": {"content": [{"type": "text", "text": "done"}]},
        }
        if name in results:
            return partial(page, result=results[name], more="Mcp-Session-Id: s1\r\n")
        if name == "GET":
            return changes
        if name == "DELETE":
            self.left.set()
        return partial(status, code=202 if name.startswith("notifications/") else 405)


async def status(_: Server, __: Request, stream: trio.SocketStream, *, code: int) -> None:
    page = b"<h1>hush</h1>"
    head = f"HTTP/1.1 {code} X\r\nConnection: close\r\nContent-Length: {len(page)}\r\n\r\n"
    await stream.send_all(head.encode() + page)


async def page(
    _: Server,
    request: Request,
    stream: trio.SocketStream,
    *,
    more: str = "",
    code: int = 200,
    **message: Any,
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": request.message.get("id"), **message}).encode()
    head = f"HTTP/1.1 {code} X\r\nConnection: close\r\nContent-Type: application/json\r\n{more}"
    await stream.send_all(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


STREAM = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream;a=b\r\n\r\n"


def event(message: Any, more: str = "") -> bytes:
    return f"{more}data: {json.dumps({'jsonrpc': '2.0', **message})}\n\n".encode()


async def changes(server: Server, _: Request, stream: trio.SocketStream) -> None:
    """Say that the tools changed, when the test wants it; cut; and again."""
    await stream.send_all(STREAM)
    server.listening.set()
    await server.say.wait()
    note = {"method": "notifications/tools/list_changed"}
    await stream.send_all(event(note, "id: 7\nretry: 0\n"))


async def stream_of(
    _: Server, request: Request, stream: trio.SocketStream, *, parts: list[bytes]
) -> None:
    """An event stream that ends."""
    await stream.send_all(STREAM)
    for part in parts:
        number = str(request.message.get("id", "")).encode()
        await stream.send_all(part.replace(b'"ID"', number))


def answer(text: str) -> bytes:
    return event({"id": "ID", "result": {"content": [{"type": "text", "text": text}]}})


@asynccontextmanager
async def serving(**special: Any) -> AsyncIterator[tuple[Server, MCPServer]]:
    server = Server({name.replace("_", "/"): each for name, each in special.items()})
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(
                partial(trio.serve_tcp, server.handle, 0, host="127.0.0.1")
            )
            port = listener.socket.getsockname()[1]
            url = f"http://127.0.0.1:{port}/mcp?key=hush"
            yield server, MCPServer.http(url, headers={"X-Key": "k"}, prefix="web")
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def opened(**special: Any) -> AsyncIterator[tuple[Server, OpenTools]]:
    async with serving(**special) as (server, source), source.open() as tools:
        yield server, tools


async def test_session() -> None:
    async with opened() as (server, tools):
        assert await call(tools, "web_it") == "done"
    assert server.left.is_set()
    methods = [each.message.get("method", each.method) for each in server.seen]
    assert methods.index("initialize") < methods.index("notifications/initialized")
    assert all(each.headers["x-key"] == "k" for each in server.seen)
    later = server.seen[methods.index("initialize") + 1 :]
    assert {each.headers["mcp-session-id"] for each in later} == {"s1"}
    assert {each.headers["mcp-protocol-version"] for each in later} == {"2025-11-25"}


async def test_changes_are_heard_on_a_connection_of_their_own() -> None:
    async with opened() as (server, tools):
        await server.listening.wait()
        server.say.set()
        while not tools._sessions.newest.changed:
            await trio.lowlevel.checkpoint()
        # It is asked for again, from where it was cut.
        while not any(each.headers.get("last-event-id") == "7" for each in server.seen):
            await trio.lowlevel.checkpoint()


TOO_LARGE = partial(page, result={"content": [{"type": "text", "text": "x" * (17 * 2**20)}]})


@pytest.mark.parametrize(
    ("special", "told"),
    [
        (partial(status, code=401), "failed: it answered with status 401"),
        (partial(status, code=500), "failed: it answered with status 500"),
        (partial(status, code=202), "failed: it answered with status 202"),
        (partial(status, code=200), "failed: it answered with no MCP message"),
        (
            partial(page, code=400, error={"code": -32602, "message": "no such city"}),
            "failed: no such city",
        ),
        (TOO_LARGE, "failed: it answered with more than 16 MiB"),
        (
            partial(stream_of, parts=[b"data: " + b"x" * (17 * 2**20)]),
            "failed: it answered with more than 16 MiB",
        ),
        (
            partial(stream_of, parts=[b"data: no JSON\n\n", b": nothing\n\n"]),
            "failed: the connection broke before the answer",
        ),
        (partial(stream_of, parts=[]), "failed: the connection broke before the answer"),
    ],
)
async def test_answers_that_fail_one_call(special: Any, told: str) -> None:
    async with opened(tools_call=special) as (server, tools):
        assert await refusal(tools, "web_it") == f"the MCP server 'web' {told}"
        del server.special["tools/call"]
        assert await call(tools, "web_it") == "done"


async def test_an_answer_is_resumed_where_it_was_cut() -> None:
    async def rest(server: Server, request: Request, stream: trio.SocketStream) -> None:
        if request.headers.get("last-event-id") != "5":
            await changes(server, request, stream)
            return
        asked = next(e for e in server.seen if e.message.get("method") == "tools/call")
        text = answer("after all").replace(b'"ID"', str(asked.message["id"]).encode())
        await stream.send_all(STREAM + text)

    begin = partial(stream_of, parts=[b"id: 5\nretry: 0\ndata:\n\n"])
    async with opened(tools_call=begin, GET=rest) as (_, tools):
        assert await call(tools, "web_it") == "after all"


async def test_an_answer_that_can_not_be_resumed() -> None:
    begin = partial(stream_of, parts=[b"id: 5\nretry: 0\ndata:\n\n"])
    again = partial(stream_of, parts=[b"retry: 0\n\n"])
    async with opened(tools_call=begin, GET=again) as (server, tools):
        told = await refusal(tools, "web_it")
        assert told == "the MCP server 'web' failed: the connection broke before the answer"
        resumed = [each for each in server.seen if each.headers.get("last-event-id") == "5"]
        assert len(resumed) == _endpoint._MAX_AGAIN


async def test_a_cancel_is_told() -> None:
    async def hang(_: Server, request: Request, stream: trio.SocketStream) -> None:
        token = request.message["params"]["_meta"]["progressToken"]
        params = {"progressToken": token, "progress": 1}
        note = event({"method": "notifications/progress", "params": params})
        await stream.send_all(STREAM + note)
        await trio.sleep_forever()

    async with opened(tools_call=hang) as (server, tools):
        progress = Progress()
        async with trio.open_nursery() as nursery:
            tool = (await tools_of(tools))["web_it"]
            nursery.start_soon(tool.call, {}, progress.context)
            await progress.begun.wait()
            nursery.cancel_scope.cancel()
        asked = next(e for e in server.seen if e.message.get("method") == "tools/call")
        while not (told := [e for e in server.seen if "cancelled" in e.message.get("method", "")]):
            await trio.lowlevel.checkpoint()
        assert told[0].message["params"]["requestId"] == asked.message["id"]


async def test_a_session_that_the_server_forgot_is_opened_again() -> None:
    async with opened(tools_call=partial(status, code=404)) as (server, tools):
        assert await refusal(tools, "web_it") == (
            "the MCP server 'web' is gone: it knows the session no more; "
            "whether it has done what it was asked for is unknown"
        )
        del server.special["tools/call"]
        assert await call(tools, "web_it") == "done"


@pytest.mark.parametrize("code", [401, 403, 404, 500])
async def test_can_not_be_opened(code: int) -> None:
    async with serving(initialize=partial(status, code=code)) as (_, source):
        with pytest.raises(ToolSourceError) as caught:
            async with source.open():
                raise AssertionError
    assert str(caught.value) == (
        f"the MCP server 'web' can't be opened: it answered with status {code}"
    )
