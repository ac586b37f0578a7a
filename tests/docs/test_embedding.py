"""docs/embedding.md"""

import json
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE

import attrs
import httpx
import page_kit
import pytest
import trio
from program_kit import EXAMPLES, environment
from server_kit import SOON, Client as RawClient
from trio_websocket import open_websocket_url

from trio_agent.client import ServerError, open_client
from trio_agent.testing.openai import Script, finish, open_scripted_openai, pause, text

HELLO = [text("Hello "), text("there."), finish()]


@attrs.define
class Program:
    """A program that serves."""

    process: trio.Process
    lines: list[str] = attrs.field(factory=list)
    _rest: bytes = b""

    async def line(self, *, stderr: bool = False) -> str:
        """Return the next line of its output."""
        stream = self.process.stderr if stderr else self.process.stdout
        assert stream is not None
        while b"\n" not in self._rest:
            data = await stream.receive_some()
            assert data, "it ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()


@asynccontextmanager
async def running(
    *command: str, script: Script, folder: Path, stderr: int | None = None
) -> AsyncIterator[Program]:
    """Run a program while the context lasts."""
    with trio.fail_after(3 * SOON):
        async with open_scripted_openai(script) as server, trio.open_nursery() as nursery:
            start = partial(
                trio.run_process,
                [sys.executable, "-W", "error", *command],
                stdout=PIPE,
                stderr=stderr,
                env=environment(server),
                cwd=folder,
                check=False,
            )
            yield Program(await nursery.start(start))
            nursery.cancel_scope.cancel()


def example(name: str) -> str:
    return str(EXAMPLES / f"{name}.py")


async def check_prefix(client: httpx.AsyncClient) -> None:
    """All links below /agents lead to the run, and what is beside it is the application's."""
    answer = await client.post("/agents/runs", json={"prompt": "Hi"})
    assert answer.status_code == 201
    run = answer.json()["id"]
    assert answer.headers["location"] == f"/agents/runs/{run}"
    assert (await client.get(answer.headers["location"])).json()["id"] == run
    events = await client.get(answer.json()["events"])
    assert events.headers["content-type"].startswith("text/event-stream")
    assert '"finishReason":"stop"' in events.text
    [listed] = (await client.get("/agents/runs")).json()["runs"]
    assert listed["events"] == f"/agents/runs/{run}/events"

    page = await client.get("/agents/")
    assert page.headers["content-type"].startswith("text/html")
    assert (await client.get("/agents/page/app.js")).status_code == 200
    assert (await client.get("/agentsx/runs")).status_code == 404
    foreign = await client.get("/agents/runs", headers={"Host": "evil.example.com"})
    assert foreign.json()["error"]["code"] == "bad-host"


async def test_nursery(tmp_path: Path) -> None:
    async with running(
        example("embedding/nursery"), script=[HELLO, HELLO], folder=tmp_path
    ) as program:
        http, websocket = (await program.line()).split()
        assert await program.line() == "Hello there."
        async with httpx.AsyncClient(base_url=http, trust_env=False) as client:
            [own] = (await client.get("/runs")).json()["runs"]
            assert own["metadata"] == {"by": "the program"}
        # Both wires serve the run that the program started, and the page may use the other one.
        async with open_client(websocket) as client, client.subscribe(own["id"]) as events:
            assert [event.terminal async for event in events][-1]
        async with open_websocket_url(websocket, extra_headers=[(b"Origin", http.encode())]):
            pass
        program.process.send_signal(signal.SIGTERM)
        assert await program.process.wait() == 0


async def test_starlette(tmp_path: Path) -> None:
    async with running(
        example("embedding/starlette_app"), script=[HELLO, HELLO], folder=tmp_path
    ) as program:
        async with httpx.AsyncClient(base_url=await program.line(), trust_env=False) as client:
            await check_prefix(client)
            assert (await client.get("/runs")).status_code == 404
            answer = await client.post("/greet/Ada")
            greeted = await client.get(answer.json()["events"])
            assert "Hello " in greeted.text
            run = answer.json()["events"].removesuffix("/events")
            assert (await client.get(run)).json()["metadata"] == {"name": "Ada"}
        program.process.send_signal(signal.SIGTERM)
        assert await program.process.wait() == 0


async def test_starlette_drains(tmp_path: Path) -> None:
    go_on = trio.Event()
    script = [[text("Hello "), pause(go_on), text("there."), finish()]]
    async with running(
        example("embedding/starlette_app"), script=script, folder=tmp_path
    ) as program:
        url = await program.line()
        headers = {"Accept": "text/event-stream"}
        async with (
            httpx.AsyncClient(base_url=url, trust_env=False) as client,
            client.stream(
                "POST", "/agents/runs", json={"prompt": "Hi"}, headers=headers
            ) as response,
        ):
            chunks = response.aiter_text()
            seen = ""
            while "Hello " not in seen:
                seen += await anext(chunks)
            program.process.send_signal(signal.SIGTERM)
            while (await client.get("/agents/health/ready")).status_code == 200:
                pass
            refused = await client.post("/agents/runs", json={"prompt": "Hi"})
            assert refused.json()["error"]["code"] == "limit-exceeded"
            go_on.set()
            async for chunk in chunks:
                seen += chunk
        assert '"finishReason":"stop"' in seen
        assert await program.process.wait() == 0


async def test_client_that_leaves(tmp_path: Path) -> None:
    """Hypercorn tells of it, so that the policy of the run holds."""
    script = [[text("Hello "), pause(trio.Event())]]
    async with running(
        example("embedding/starlette_app"), script=script, folder=tmp_path
    ) as program:
        url = await program.line()
        host, port = url.removeprefix("http://").split(":")
        async with RawClient(await trio.open_tcp_stream(host, int(port)), host) as viewer:
            body = {"prompt": "Hi", "onDisconnect": "cancel"}
            await viewer.send("POST", "/agents/runs", {"Accept": "text/event-stream"}, body)
            answer = await viewer.receive_body(await viewer.receive_head(), until=b"Hello ")
        run = answer.headers["location"]
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            while (status := (await client.get(run)).json()["status"]) == "active":
                pass
        assert status == "cancelled"


async def test_lifespan(tmp_path: Path) -> None:
    shutil.copy(example("embedding/lifespan_app"), tmp_path)
    command = ("-m", "hypercorn", "--worker-class", "trio", "lifespan_app:app")
    async with running(
        *command, "--bind", "127.0.0.1:0", script=[HELLO], folder=tmp_path, stderr=PIPE
    ) as program:
        url = (await program.line(stderr=True)).partition("Running on ")[2].split()[0]
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            await check_prefix(client)
        program.process.send_signal(signal.SIGTERM)
        assert await program.process.wait() == 0


async def test_lifespan_on_asyncio(tmp_path: Path) -> None:
    shutil.copy(example("embedding/lifespan_app"), tmp_path)
    command = ("-m", "hypercorn", "lifespan_app:app", "--bind", "127.0.0.1:0")
    async with running(*command, script=[], folder=tmp_path, stderr=PIPE) as program:
        lines: list[str] = []
        while "RuntimeError: trio_agent runs on Trio" not in "".join(lines):
            lines.append(await program.line(stderr=True))


async def test_quart(tmp_path: Path) -> None:
    pytest.importorskip("quart_trio", reason="QUART IS NOT TESTED: pip install quart-trio")
    async with (
        running(example("embedding/quart_app"), script=[HELLO], folder=tmp_path) as program,
        httpx.AsyncClient(base_url=await program.line(), trust_env=False) as client,
    ):
        assert (await client.get("/")).text == "Hello from Quart."
        await check_prefix(client)
        assert (await client.get("/agents")).status_code == 404


async def test_sessions(tmp_path: Path) -> None:
    async with running(example("embedding/sessions"), script=[HELLO], folder=tmp_path) as program:
        http, websocket = (await program.line()).split()
        alice = {"Cookie": "session=9f1c7b1e5a"}
        bob = {"Cookie": "session=4d02c8e6f7"}
        async with httpx.AsyncClient(base_url=http, trust_env=False) as client:
            run = (await client.post("/runs", json={"prompt": "Hi"}, headers=alice)).json()["id"]
            assert (await client.get(f"/runs/{run}", headers=alice)).status_code == 200
            assert (await client.get(f"/runs/{run}", headers=bob)).status_code == 404
            refused = await client.get(f"/runs/{run}")
            assert refused.json()["error"] == {"code": "unauthorized", "message": "log in first"}
            assert (await client.get("/health/live")).status_code == 200
            assert (await client.get("/")).status_code == 200

            app = {"Origin": "https://app.example.com"}
            answer = await client.get("/runs", headers={**alice, **app})
            assert answer.headers["access-control-allow-origin"] == app["Origin"]
            assert "access-control-allow-credentials" not in answer.headers
            evil = {**alice, "Origin": "https://evil.example.com"}
            assert (await client.get("/runs", headers=evil)).status_code == 403
            named = {**alice, "Host": "agents.example.com:8000"}
            assert (await client.get("/runs", headers=named)).status_code == 200

        cookie = [(b"Cookie", alice["Cookie"].encode())]
        async with open_websocket_url(websocket, extra_headers=cookie) as socket:
            await socket.send_message(json.dumps({"type": "subscribe", "runId": run}))
            assert json.loads(await socket.get_message())["type"] == "subscribed"
        async with open_client(websocket) as stranger:
            with pytest.raises(ServerError, match="unauthorized: log in first"):
                await stranger.start("Hi")


@pytest.mark.skipif(
    page_kit.MISSING is not None, reason=f"THE PAGE IS NOT TESTED: {page_kit.MISSING}"
)
async def test_playground_below_a_prefix(tmp_path: Path) -> None:
    def look(url: str) -> str:
        with page_kit.open_browser() as browser, page_kit.open_page(browser) as (page, complaints):
            page.goto(f"{url}/agents")  # which Starlette redirects
            page.wait_for_selector("#agent option", state="attached")
            page.fill("#prompt", "Hi")
            page.press("#prompt", "Enter")
            page.locator(".stream", has_text="there.").wait_for()
            said: str = page.inner_text(".stream")
        assert complaints.lines == []
        return said

    async with running(
        example("embedding/starlette_app"), script=[HELLO], folder=tmp_path
    ) as program:
        url = await program.line()
        assert "Hello there." in await trio.to_thread.run_sync(look, url, abandon_on_cancel=True)
