"""``trio-agent serve --ws-port`` as a real process."""

import signal
from pathlib import Path

import httpx
import trio
from process_kit import open_process
from websocket_kit import Socket, WebSocketKit

from trio_agent.testing.openai import open_scripted_openai, pause, text


async def test_both_wires_of_one_runtime(tmp_path: Path) -> None:
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


async def follow(socket: Socket, client: httpx.AsyncClient) -> None:
    run_id = (await socket.ask({"prompt": "hi"}))["runId"]
    assert (await client.get(f"/runs/{run_id}")).json()["status"] == "active"
    while (await socket.receive())["type"] != "text-delta":
        pass


async def test_port_that_is_taken(tmp_path: Path) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = str(listener.socket.getsockname()[1])
        args = ("--port", "0", "--ws-port", port, "--model", "m")
        async with open_process("serve", *args, cwd=tmp_path) as process:
            assert await process.process.wait() == 2
            await process.finished()
            line = f"trio-agent: error: can't listen on 127.0.0.1:{port}: ".encode()
            assert process.stderr.startswith(line)
