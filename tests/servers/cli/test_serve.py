"""``trio-agent serve`` as a real process, from the ready line to its end."""

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import trio
from cli_kit import AGENTS, open_serve
from process_kit import open_process
from websocket_kit import Socket, WebSocketKit

from trio_agent.testing.openai import finish, open_scripted_openai, pause, text

STREAM = "/stream?prompt=x"


class TestServe:
    async def test_ready_line_and_sigterm_with_an_open_stream(self, tmp_path: Path) -> None:
        script = [[text("a"), pause(trio.Event())]]
        async with open_serve(script, "--grace", "0", cwd=tmp_path) as (process, provider):
            async with await process.connect() as client:
                answer = await client.watch(STREAM)
                await client.receive_body(answer, until=b'"delta":"a"')
                process.process.send_signal(signal.SIGTERM)
                await client.receive_body(answer)
            assert answer.complete
            last = answer.events[-1][1]
            assert last["type"] == "run-finish"
            assert last["run"]["finishReason"] == "cancelled"
            assert last["run"]["text"] == "a"
            assert await process.process.wait() == 0
            assert process.stdout == f"ready http://{client.host}\n".encode()
            assert b"SIGTERM: draining, 0 s at most" in process.stderr
            assert b"Traceback" not in process.stderr
            assert b"sk-secret-key" not in process.stderr
            # The model's socket is gone, too.
            assert provider.requests[-1].disconnected.is_set()

    async def test_run_may_end_by_itself_within_the_grace(self, tmp_path: Path) -> None:
        go_on = trio.Event()
        script = [[text("a"), pause(go_on), text("b"), finish()]]
        async with open_serve(script, "--grace", "100", cwd=tmp_path) as (process, _):
            async with await process.connect() as client, await process.connect() as other:
                answer = await client.watch(STREAM)
                await client.receive_body(answer, until=b'"delta":"a"')
                process.process.send_signal(signal.SIGINT)
                await process.until(b"SIGINT: draining", process.stderr)
                refused = await other.request("GET", STREAM)
                assert refused.status == 503
                go_on.set()
                await client.receive_body(answer)
            assert answer.complete
            assert answer.events[-1][1]["run"]["finishReason"] == "stop"
            assert await process.process.wait() == 0

    async def test_second_signal(self, tmp_path: Path) -> None:
        script = [[text("a"), pause(trio.Event())]]
        async with open_serve(script, "--grace", "1000", cwd=tmp_path) as (process, _):
            async with await process.connect() as client:
                answer = await client.watch(STREAM)
                await client.receive_body(answer, until=b'"delta":"a"')
                process.process.send_signal(signal.SIGTERM)
                await process.until(b"draining", process.stderr)
                process.process.send_signal(signal.SIGTERM)
                assert await process.process.wait() == 1
                await client.receive_body(answer)
                assert not answer.complete
            await process.until(b"ending at once\n", process.stderr)

    async def test_agents_of_this_folder(self, tmp_path: Path) -> None:
        (tmp_path / "my_agents.py").write_text(AGENTS)
        names = ["--agent", "my_agents:one", "--agent", "my_agents:many"]
        async with open_serve([], *names, cwd=tmp_path) as (process, _):
            async with await process.connect() as client:
                agents = (await client.request("GET", "/agents")).json["agents"]
                assert [agent["name"] for agent in agents] == ["one", "two", "three"]
            process.process.terminate()
            assert await process.process.wait() == 0

    async def test_everything_from_the_environment(self, tmp_path: Path) -> None:
        (tmp_path / "my_agents.py").write_text(AGENTS)
        settings = {
            "TRIO_AGENT_AGENT": "my_agents:inner.four my_agents:one",
            "TRIO_AGENT_ON_DISCONNECT": "cancel",
            "TRIO_AGENT_MAX_STREAMS": "1",
            "TRIO_AGENT_GRACE": "0",
            "TRIO_AGENT_ALLOW_ORIGIN": "https://app.example.com",
            "TRIO_AGENT_TOKENS": "alice:a-secret-of-alice",
            "TRIO_AGENT_HOST": "",
        }
        script = [[text("a"), pause(trio.Event())]]
        async with open_serve(script, cwd=tmp_path, **settings) as (process, provider):
            token = {"Authorization": "Bearer a-secret-of-alice"}
            async with await process.connect() as client:
                assert (await client.request("GET", "/agents")).status == 401
                answer = await client.request("GET", "/agents", token)
                assert [agent["name"] for agent in answer.json["agents"]] == ["four", "one"]
                origin = {"Origin": "https://app.example.com"}
                answer = await client.request("GET", "/runs", {**token, **origin})
                assert answer.headers["access-control-allow-origin"] == origin["Origin"]
                async with await process.connect() as viewer:
                    await viewer.receive_body(await viewer.watch(STREAM, token), until=b'"a"')
                    assert (await client.request("GET", STREAM, token)).status == 503
                # The viewer left, and on_disconnect is cancel.
                await provider.requests[-1].disconnected.wait()
            process.process.terminate()
            assert await process.process.wait() == 0
            assert b"secret" not in process.stdout + process.stderr

    async def test_model_that_is_away(self, tmp_path: Path) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
            async with open_serve([], cwd=tmp_path, OPENAI_BASE_URL=url) as (process, _):
                await process.until(b"not ready: agent 'default': connect: ", process.stderr)
                async with await process.connect() as client:
                    answer = await client.request("GET", "/health/ready")
                    assert (answer.status, answer.code) == (503, "not-ready")
                    assert (await client.request("GET", "/health/live")).status == 200
                process.process.terminate()
                assert await process.process.wait() == 0
                assert process.stdout.count(b"\n") == 1
                assert b"sk-secret-key" not in process.stderr

    @pytest.mark.parametrize("url", ["", "nonsense"])
    async def test_model_that_can_not_be_opened(self, url: str, tmp_path: Path) -> None:
        settings = {"OPENAI_BASE_URL": url}
        async with open_process(
            "serve", "--port", "0", "--model", "m", cwd=tmp_path, **settings
        ) as (process):
            await process.until(b"not ready: agent 'default': ", process.stderr)
            async with await process.connect() as client:
                answer = await client.request("GET", "/health/ready")
                assert (answer.status, answer.code) == (503, "not-ready")
            process.process.terminate()
            assert await process.process.wait() == 0
            assert b"Traceback" not in process.stderr

    async def test_model_that_comes_back(self, tmp_path: Path) -> None:
        async with open_serve([], cwd=tmp_path) as (process, _):
            async with await process.connect() as client:
                while (await client.request("GET", "/health/ready")).status != 200:
                    pass
            process.process.terminate()
            assert await process.process.wait() == 0

    async def test_taken_port(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            key = {"OPENAI_API_KEY": "sk-secret-key"}
            async with open_process("serve", "--port", port, cwd=tmp_path, **key) as process:
                assert await process.process.wait() == 2
                await process.until(b"\n", process.stderr)
                assert process.stderr.startswith(b"trio-agent: error: can't listen on 127.0.0.1:")
                assert process.stderr.count(b"\n") == 1
                assert process.stdout == b""

    async def test_two_agents_of_one_name(self, tmp_path: Path) -> None:
        (tmp_path / "my_agents.py").write_text(AGENTS)
        names = ["--agent", "my_agents:one", "--agent", "my_agents:one"]
        async with open_process("serve", "--port", "0", *names, cwd=tmp_path) as process:
            assert await process.process.wait() == 2
            await process.until(b"\n", process.stderr)
            assert process.stderr == b"trio-agent: error: two agents have the same name\n"


class TestOperator:
    """Who looks after the server may close his terminal, and may not listen."""

    async def test_sighup_does_nothing(self, tmp_path: Path) -> None:
        script = [[text("a"), pause(trio.Event())]]
        async with open_serve(script, "--grace", "1000", cwd=tmp_path) as (process, _):
            async with await process.connect() as client:
                answer = await client.watch(STREAM)
                await client.receive_body(answer, until=b'"delta":"a"')
                process.process.send_signal(signal.SIGHUP)
                async with await process.connect() as other:
                    assert (await other.request("GET", "/runs")).status == 200
                process.process.send_signal(signal.SIGTERM)
                await process.until(b"SIGTERM: draining", process.stderr)
                # Nor does it hurry the end.
                process.process.send_signal(signal.SIGHUP)
                async with await process.connect() as other:
                    path = f"/runs/{answer.events[0][1]['runId']}/cancel"
                    assert (await other.request("POST", path)).status == 200
                assert (await client.receive_body(answer)).complete
            assert await process.process.wait() == 0

    @pytest.mark.parametrize("closed", [False, True])
    async def test_nobody_reads_what_it_says(self, closed: bool, tmp_path: Path) -> None:
        """Neither a full pipe nor a closed one holds it up, while it serves and while it ends."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        if closed:
            os.close(reader)
        url = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
        arguments = ("serve", "--port", "0", "--model", "m")
        async with open_process(*arguments, cwd=tmp_path, stderr=writer, **url) as process:
            os.close(writer)
            async with await process.connect() as client:
                # It goes on when it has said that it is not ready.
                message = unchecked = "the model was not checked yet"
                while message == unchecked:
                    answer = await client.request("GET", "/health/ready")
                    message = answer.json["error"]["message"]
            process.process.send_signal(signal.SIGTERM)
            assert await process.process.wait() == 0
        if not closed:
            os.close(reader)


class TestWebSocket:
    """Both wires in one process."""

    async def test_both_wires_of_one_runtime(self, tmp_path: Path) -> None:
        async with open_scripted_openai([[text("a"), pause(trio.Event())]]) as provider:
            env = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": "sk-secret-key"}
            args = ("--port", "0", "--ws-port", "0", "--model", "m", "--grace", "0")
            async with open_process("serve", *args, cwd=tmp_path, **env) as process:
                await process.until(b"\n", process.stdout)
                ready, url, ws_url = process.stdout.decode().split()
                assert (ready, url[:17], ws_url[:15]) == (
                    "ready",
                    "http://127.0.0.1:",
                    "ws://127.0.0.1:",
                )
                kit = WebSocketKit(None, None, int(ws_url.rpartition(":")[2]), print, None)  # type: ignore[arg-type]
                # The page of the HTTP server may connect, pages of other ports may not.
                status, _, _ = await kit.refused(kit.handshake(Origin="http://127.0.0.1:1"))
                assert status == 403
                async with (
                    httpx.AsyncClient(base_url=url, trust_env=False) as client,
                    await kit.open(Origin=url) as socket,
                ):
                    settings = (await client.get("/page/settings.json")).json()
                    assert settings == {"websocketPort": kit.port}
                    await follow(socket, client)
                    process.process.send_signal(signal.SIGTERM)
                    *events, draining = await socket.receive_rest()
                    assert events[-1]["run"]["finishReason"] == "cancelled"
                    assert draining["type"] == "draining"
                    assert socket.close_code == 1012
                assert await process.process.wait() == 0
                assert b"Traceback" not in process.stderr

    async def test_port_that_is_taken(self, tmp_path: Path) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener:
            port = str(listener.socket.getsockname()[1])
            args = ("--port", "0", "--ws-port", port, "--model", "m")
            async with open_process("serve", *args, cwd=tmp_path) as process:
                assert await process.process.wait() == 2
                await process.finished()
                line = f"trio-agent: error: can't listen on 127.0.0.1:{port}: ".encode()
                assert process.stderr.startswith(line)


async def follow(socket: Socket, client: httpx.AsyncClient) -> None:
    run_id = (await socket.ask({"prompt": "hi"}))["runId"]
    assert (await client.get(f"/runs/{run_id}")).json()["status"] == "active"
    while (await socket.receive())["type"] != "text-delta":
        pass
