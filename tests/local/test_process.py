"""The subprocess: it starts, says what is wrong, is replaced, and dies with its parent."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import trio
from local_fakes import is_gone, script, starts
from trio.testing import wait_all_tasks_blocked

from trio_agent.local import _process
from trio_agent.local._errors import LocalModelUnavailable
from trio_agent.local._process import LocalServer, ServerConfig, open_local_server


async def test_starts_and_ends_with_the_context(model: Path) -> None:
    config = ServerConfig(model, "name", "template", context_size=100, parallel=3, threads=2)
    async with open_local_server(config) as server:
        assert server.base_url.startswith("http://127.0.0.1:")
        assert server.base_url.endswith("/v1")
        assert server.model_name == "name"
        assert await server.busy_slots() == 0
    (start,) = starts(model)
    assert start["chat_template"] == "template"
    assert (start["n_ctx"], start["n_parallel"]) == (300, 3)
    assert start["hostnames"] == ["127.0.0.1"]
    assert start["ui"] is False
    assert len(start["api_keys"][0]) > 20
    assert is_gone(start["pid"])


async def test_the_key_is_no_argument_and_not_in_the_representation(model: Path) -> None:
    async with (
        open_local_server(ServerConfig(model, "name")) as server,
        server.request() as endpoint,
    ):
        (start,) = starts(model)
        arguments = Path(f"/proc/{start['pid']}/cmdline").read_text()
        assert start["api_keys"] == [endpoint.api_key]
        assert endpoint.api_key not in arguments + repr(endpoint)


async def test_ends_when_cancelled_while_loading(model: Path) -> None:
    script(model, hang=True)
    fifo = f"{model}.hangs"
    os.mkfifo(fifo)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_enter, model)
            await trio.to_thread.run_sync(Path(fifo).read_bytes)
            scope.cancel()
    assert is_gone(starts(model)[0]["pid"])


async def test_killed_if_it_does_not_end(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "_END_SECONDS", 0.0)
    loop = "import time\nprint('ready http://127.0.0.1:1', flush=True)\ntime.sleep(1000)"
    program = [sys.executable, "-S", "-c", loop]
    async with open_local_server(ServerConfig(model, "name"), program=program) as server:
        assert server._process is not None
    assert server._process.returncode == -signal.SIGKILL


async def _enter(model: Path) -> None:
    async with open_local_server(ServerConfig(model, "name")):
        raise AssertionError("not reached")


async def test_not_ready_in_time(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(model, hang=True)
    monkeypatch.setattr(_process, "_READY_SECONDS", 0.01)
    with pytest.raises(LocalModelUnavailable, match="not ready after"):
        await _enter(model)


async def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(LocalModelUnavailable, match="can't read the model"):
        await _enter(tmp_path / "missing.gguf")
    (tmp_path / "text.gguf").write_bytes(b"text")
    with pytest.raises(LocalModelUnavailable, match="is no GGUF file"):
        await _enter(tmp_path / "text.gguf")


async def test_llama_cpp_refuses(model: Path) -> None:
    script(model, fail="can't\nload it")
    with pytest.raises(LocalModelUnavailable, match=r"^can't load it$"):
        await _enter(model)


async def test_crash_while_loading(model: Path) -> None:
    script(model, crash=True)
    with pytest.raises(LocalModelUnavailable, match="status 7 before it was ready"):
        await _enter(model)


async def test_another_program_that_reads_nothing(model: Path) -> None:
    program = [sys.executable, "-S", "-c", "import sys; sys.stdin.close(); sys.exit(3)"]
    with pytest.raises(LocalModelUnavailable, match="status 3"):
        async with open_local_server(ServerConfig(model, "x" * 10**6), program=program):
            raise AssertionError("not reached")


async def test_an_endless_line_is_cut(model: Path) -> None:
    program = [sys.executable, "-S", "-c", "while True: print('x' * 1000, end='')"]
    with pytest.raises(LocalModelUnavailable, match="before it was ready"):
        async with open_local_server(ServerConfig(model, "name"), program=program):
            raise AssertionError("not reached")


async def test_starts_anew_after_it_died(model: Path) -> None:
    async with open_local_server(ServerConfig(model, "name")) as server:
        first = starts(model)[0]["pid"]
        os.kill(first, signal.SIGKILL)
        assert server._process is not None
        await server._process.wait()
        assert await server.busy_slots() == 0
        async with server.request() as endpoint:
            assert endpoint.base_url == server.base_url
            assert await server.busy_slots() == 0
        assert len(starts(model)) == 2


async def _leave_a_request(server: LocalServer) -> None:
    with pytest.raises(ZeroDivisionError):
        async with server.request():
            raise ZeroDivisionError


async def test_replaced_if_it_computes_for_nobody(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_process, "_IDLE_SECONDS", 0.01)
    script(model, slots=[{"id": 0, "is_processing": True}, {"id": 1, "is_processing": False}])
    async with open_local_server(ServerConfig(model, "name")) as server:
        process = server._process
        assert process is not None
        await _leave_a_request(server)
        await process.wait()
        async with server.request():
            pass
    first, second = starts(model)
    assert is_gone(first["pid"])
    assert is_gone(second["pid"])


async def test_not_replaced_under_another_request(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_process, "_IDLE_SECONDS", 0.01)
    script(model, slots=[{"is_processing": True}, {"is_processing": True}])
    async with open_local_server(ServerConfig(model, "name")) as server:
        process = server._process
        assert process is not None
        asked = trio.Event()
        busy_slots = server.busy_slots

        async def watched() -> int:
            busy = await busy_slots()
            if asks.pop() == 0:
                asked.set()
            return busy

        asks = [0, 1, 2]
        server.busy_slots = watched  # type: ignore[method-assign]
        async with server.request():
            await _leave_a_request(server)
            await asked.wait()
            assert process.poll() is None
            asks[:] = [1] * 1000
        await process.wait()


async def test_left_alone_if_it_stopped(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "_IDLE_SECONDS", 0.0)
    script(model, slots=[{"is_processing": False}])
    async with open_local_server(ServerConfig(model, "name")) as server:
        asked = trio.Event()
        busy_slots = server.busy_slots

        async def watched() -> int:
            busy = await busy_slots()
            asked.set()
            return busy

        server.busy_slots = watched  # type: ignore[method-assign]
        await _leave_a_request(server)
        await asked.wait()
        await wait_all_tasks_blocked()
        async with server.request():
            pass
    assert len(starts(model)) == 1


async def test_slots_that_are_none(model: Path) -> None:
    script(model, slots="nonsense")
    async with open_local_server(ServerConfig(model, "name")) as server:
        assert await server.busy_slots() == 0


def test_dies_with_a_killed_parent(model: Path) -> None:
    program = """
        import sys, trio
        from pathlib import Path
        from trio_agent.local._process import ServerConfig, open_local_server

        async def main():
            async with open_local_server(ServerConfig(Path(sys.argv[1]), "name")):
                print("open", flush=True)
                await trio.sleep_forever()

        trio.run(main)
    """
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, str(model.parent)])}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        assert parent.stdout.readline() == b"open\n"
        (start,) = starts(model)
        assert not is_gone(start["pid"])
        parent.kill()
        # The subprocess has inherited standard error, which ends when both are gone.
        assert parent.stderr.read() == b""


@pytest.mark.parametrize("name", ["context_size", "parallel", "threads"])
def test_no_nonsense(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ServerConfig(Path(), "name", **{name: 0})  # type: ignore[arg-type]
