"""The program of a server of our own, as a real process."""

import sys
from functools import partial
from pathlib import Path
from subprocess import PIPE

import trio
from process_kit import PATIENCE, Process, environment, open_process

PROGRAM = [sys.executable, "-P", "-m", "trio_agent.servers.cli._own_server"]


async def test_it_ends_with_the_other_end_of_its_input(tmp_path: Path) -> None:
    command = [*PROGRAM, "--port", "0", "--model", "m", "--base-url", "http://127.0.0.1:1/v1"]
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            start = partial(
                trio.run_process,
                command,
                cwd=tmp_path,
                env=environment(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                check=False,
            )
            handle = Process(await nursery.start(start))
            nursery.start_soon(handle.collect, handle.process.stdout, handle.stdout)
            nursery.start_soon(handle.collect, handle.process.stderr, handle.stderr)
            await handle.url()
            assert handle.process.stdin is not None
            await handle.process.stdin.aclose()
            assert await handle.process.wait() == 0
            await handle.finished()
    assert b"SIGTERM: draining" in handle.stderr
    assert b"Traceback" not in handle.stderr


async def test_so_it_does_not_outlive_a_chat_that_is_killed(tmp_path: Path) -> None:
    gone = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        """Be an endpoint that answers nobody, and notices who leaves."""
        nonlocal askers
        askers += 1
        if askers == 1:  # chat itself
            await stream.receive_some()
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            return
        asked.set()
        while await stream.receive_some():
            pass
        gone.set()

    askers, asked = 0, trio.Event()
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1"
        env = {"OPENAI_BASE_URL": url, "TRIO_AGENT_GRACE": "0"}
        async with open_process("chat", cwd=tmp_path, **env) as chat:
            await asked.wait()
            await chat.kill()
            await gone.wait()
        nursery.cancel_scope.cancel()
