"""A server of our own, in a process of its own."""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
import trio.testing
from cli_kit import open_chat, prompts, say
from process_kit import PATIENCE, open_process

from trio_agent import OpenAIModel, SQLiteStore
from trio_agent.client import ServerError, open_client
from trio_agent.local import LocalModel, LocalModelUnavailable
from trio_agent.servers.cli import _server_process
from trio_agent.servers.cli._demo import AGENT as DEMO_AGENT
from trio_agent.servers.cli._server_process import TOKEN, open_server
from trio_agent.servers.cli._usage import UsageError
from trio_agent.testing.openai import finish, open_scripted_openai, pause, text

NOBODY = "http://127.0.0.1:1/v1"


def model_at(settings: Mapping[str, str | None]) -> OpenAIModel:
    """The model that the settings name."""
    return OpenAIModel("m", base_url=settings["TRIO_AGENT_BASE_URL"])


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set that a server would take up."""
    for name in [name for name in os.environ if name.startswith(("TRIO_AGENT_", "OPENAI_"))]:
        monkeypatch.delenv(name)


async def test_own_server(tmp_path: Path) -> None:
    async with (
        open_scripted_openai([[text("Hello "), text("you."), finish()]]) as provider,
        open_chat(cwd=tmp_path, OPENAI_BASE_URL=provider.base_url) as chat,
    ):
        await say(chat, "hi\n")
        await prompts(chat, 2)
        chat.process.send_signal(signal.SIGINT)
        assert await chat.process.wait() == 0
        assert b"Hello you.\n[stop: 1 steps]\n" in chat.stdout
        await chat.finished()
        # Neither a traceback nor how the server drained, which is news to nobody.
        assert chat.stderr == b""


async def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    """What it says is passed on, and stands above what we say."""
    settings = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "TRIO_AGENT_GRACE": "nonsense"}
    async with open_process("chat", cwd=tmp_path, **settings) as process:
        await process.finished()
        assert await process.process.wait() == 2
        theirs, ours = process.stderr.decode().splitlines()
        assert "'nonsense' is not a number of seconds" in theirs
        assert ours == "trio-agent: error: the server did not start; see above"


async def test_settings_are_its_environment() -> None:
    with trio.fail_after(PATIENCE):
        async with open_scripted_openai([[text("Hello."), finish()]]) as provider:
            settings = {
                "TRIO_AGENT_MODEL": "m",
                "TRIO_AGENT_BASE_URL": provider.base_url,
                "TRIO_AGENT_GGUF": None,
            }
            async with open_server(model_at(settings), settings=settings) as client:
                run_id = await client.start("hi")
                async with client.subscribe(run_id) as events:
                    assert [event async for event in events][-1].terminal
                assert (await client.info(run_id))["agent"] == "default"
            assert [request.body["model"] for request in provider.requests if request.body] == ["m"]


async def test_it_lets_in_who_started_it_as_nobody_in_particular(tmp_path: Path) -> None:
    """Other users of the machine reach what listens on loopback, too."""
    store = f"sqlite:{tmp_path / 'runs.db'}"
    with trio.fail_after(PATIENCE):
        async with open_scripted_openai([[text("Hello."), finish()]]) as provider:
            settings = {"TRIO_AGENT_BASE_URL": provider.base_url, "TRIO_AGENT_STORE": store}
            async with _server_process.open_process(
                model_at(settings), settings=settings
            ) as server:
                for token in (None, "0123456789abcdef"):
                    async with open_client(server.url, token=token) as client:
                        with pytest.raises(ServerError, match="unauthorized"):
                            await client.runs()
                async with open_client(server.url, token=TOKEN) as client:
                    await server.until_ready(client)
                    run_id = await client.start("hi")
                    async with client.subscribe(run_id) as events:
                        assert [event async for event in events][-1].terminal
        async with SQLiteStore(tmp_path / "runs.db", follow=True).open() as kept:
            assert (await kept.info(run_id)).record.owner is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRIO_AGENT_AGENT", "math:pi"),
        ("TRIO_AGENT_HOST", "0.0.0.0"),
        ("TRIO_AGENT_STORE", "sqlite:/nowhere/runs.db"),
        ("TRIO_AGENT_TOKENS", "me:0123456789abcdef"),
    ],
)
async def test_what_is_for_servers_of_others_is_not_inherited(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with trio.fail_after(PATIENCE):
        async with open_scripted_openai([[text("Hello."), finish()]]) as provider:
            settings = {"TRIO_AGENT_BASE_URL": provider.base_url}
            async with open_server(model_at(settings), settings=settings) as client:
                assert (await client.info(await client.start("hi")))["agent"] == "default"


async def test_nor_is_a_port_that_another_server_has(monkeypatch: pytest.MonkeyPatch) -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        monkeypatch.setenv("TRIO_AGENT_WS_PORT", str(listener.socket.getsockname()[1]))
        with trio.fail_after(PATIENCE):
            async with open_scripted_openai([[text("Hello."), finish()]]) as provider:
                settings = {"TRIO_AGENT_BASE_URL": provider.base_url}
                async with open_server(model_at(settings), settings=settings) as client:
                    assert await client.not_ready() is None


async def test_when_it_is_left_it_ends_and_so_do_its_runs() -> None:
    with trio.fail_after(PATIENCE):
        async with open_scripted_openai([[text("a"), pause(trio.Event())]]) as provider:
            settings = {"TRIO_AGENT_BASE_URL": provider.base_url, "TRIO_AGENT_GRACE": "0"}
            async with (
                open_server(model_at(settings), settings=settings) as client,
                client.subscribe(await client.start("hi")) as events,
            ):
                for _ in range(3):
                    await events.receive()
            await provider.requests[-1].disconnected.wait()


async def test_an_agent_that_can_not_be_loaded(capfd: pytest.CaptureFixture[str]) -> None:
    settings = {"TRIO_AGENT_BASE_URL": NOBODY}
    model = model_at(settings)
    with trio.fail_after(PATIENCE), pytest.raises(UsageError, match="did not start; see above"):
        async with open_server(model, agents=["math:pi"], settings=settings):
            raise AssertionError
    assert "that is a float, not an Agent" in capfd.readouterr().err


async def refuse(stream: trio.SocketStream) -> None:
    """Refuse the key of whoever asks for something."""
    await stream.receive_some()
    body = b'{"error": {"message": "no such key"}}'
    head = b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    await stream.send_all(head % len(body) + body)


class TestRefusedForGood:
    """It is not waited for, and no server is started."""

    @pytest.fixture(autouse=True)
    def no_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trio.run_process", None)

    async def refused(self, url: str, why: str) -> None:
        model = OpenAIModel("m", base_url=url)
        with trio.fail_after(PATIENCE), pytest.raises(UsageError, match=why):
            async with open_server(model, settings={}):
                raise AssertionError

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("nonsense", "can't be used: .* must look like https://host/v1"),
            ("https://api.openai.com/v1", "can't be used: no API key: set OPENAI_API_KEY"),
        ],
    )
    async def test_bad_settings(self, url: str, why: str) -> None:
        await self.refused(url, why)

    async def test_by_the_endpoint(self) -> None:
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, refuse, 0, host="127.0.0.1")
            [listener] = await nursery.start(serve)
            port = listener.socket.getsockname()[1]
            await self.refused(f"http://127.0.0.1:{port}/v1", "can't be used: auth: .*no such key")
            nursery.cancel_scope.cancel()


async def test_nothing_of_the_current_folder_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("h11", "trio", "httpx", "socksio", "trio_agent", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w').close()\nraise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    settings = {"TRIO_AGENT_BASE_URL": NOBODY}
    monkeypatch.setattr(_server_process, "_READY", 0.0)
    with trio.fail_after(PATIENCE), pytest.raises(UsageError, match="is not ready"):
        async with open_server(model_at(settings), agents=[DEMO_AGENT], settings=settings):
            raise AssertionError
    assert not (tmp_path / "imported").exists()


class TestWhatTheServerSays:
    @pytest.mark.parametrize("verbose", [False, True])
    async def test_without_a_failure(
        self, verbose: bool, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with trio.fail_after(PATIENCE):
            async with open_scripted_openai([[text("Hello."), finish()]]) as provider:
                settings = {
                    "TRIO_AGENT_BASE_URL": provider.base_url,
                    "TRIO_AGENT_MAX_LOG_BYTES": "1GiB",
                    "PYTHONWARNINGS": "nonsense",
                }
                async with open_server(
                    model_at(settings), settings=settings, verbose=verbose
                ) as client:
                    await client.start("hi")
        # Python complains of what it can't read.
        assert ("nonsense" in capfd.readouterr().err) == verbose

    async def test_it_ends_by_itself(self, capfd: pytest.CaptureFixture[str]) -> None:
        with trio.fail_after(PATIENCE):
            async with open_scripted_openai([]) as provider:
                settings = {
                    "TRIO_AGENT_BASE_URL": provider.base_url,
                    "PYTHONWARNINGS": "nonsense",
                }
                others = set(children())
                async with open_server(model_at(settings), settings=settings):
                    [child] = set(children()) - others
                    os.kill(child, signal.SIGKILL)
                    ended = os.WEXITED | os.WNOWAIT
                    with suppress(ChildProcessError):  # Trio was faster
                        await trio.to_thread.run_sync(os.waitid, os.P_PID, child, ended)
        assert "nonsense" in capfd.readouterr().err

    @pytest.mark.parametrize("verbose", [False, True])
    async def test_its_end_is_kept_and_made_safe(
        self, verbose: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        send, receive = trio.testing.memory_stream_one_way_pair()
        said = _server_process._Said(verbose)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(said.collect, SimpleNamespace(stderr=receive))
            await send.send_all(b"a" * (1 << 20) + b"\n\x1b[31mb\xf0\x9f")
            await trio.testing.wait_all_tasks_blocked()
            await send.send_all(b"\x98\x80c\n")
            await send.aclose()
        assert said.all.is_set()
        early = capsys.readouterr().err
        said.show()
        err = early + capsys.readouterr().err
        assert bool(early) == verbose
        assert err.endswith("aaa\n[31mb\U0001f600c\n")
        assert len(err) <= _server_process._KEPT or verbose


def children() -> list[int]:
    """Ids of the processes that this one has started."""
    lists = Path("/proc/self/task").glob("*/children")
    return [int(number) for path in lists for number in path.read_text().split()]


async def test_interrupted_while_it_waits(tmp_path: Path) -> None:
    async with open_process("chat", cwd=tmp_path, OPENAI_BASE_URL=NOBODY) as process:
        await process.until(b"waiting, 120 s at most: connect: ", process.stderr)
        process.process.send_signal(signal.SIGINT)
        assert await process.process.wait() == 130
        await process.finished()
        assert process.stderr.count(b"\n") == 1


async def test_a_model_that_is_away(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_server_process, "_READY", 0.0)
    settings = {"TRIO_AGENT_BASE_URL": NOBODY}
    with trio.fail_after(PATIENCE), pytest.raises(UsageError, match="the server is not ready: "):
        async with open_server(model_at(settings), settings=settings):
            raise AssertionError
    assert "Traceback" not in capfd.readouterr().err


class TestWeights:
    """Those of the embedded model are there before a server waits for them."""

    async def test_they_are_fetched_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fetch_weights(**settings: object) -> Path:
            await trio.lowlevel.checkpoint()
            raise LocalModelUnavailable("no disk")

        monkeypatch.setattr(_server_process, "fetch_weights", fetch_weights)
        monkeypatch.setattr("trio.run_process", None)  # no server is started
        with pytest.raises(LocalModelUnavailable, match="no disk"):
            async with open_server(LocalModel(), settings={}):
                raise AssertionError

    async def test_a_file_of_ones_own_is_not(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(_server_process, "fetch_weights", None)
        monkeypatch.setattr("trio.run_process", None)  # no server is started
        path = tmp_path / "model.gguf"
        for content, why in ((None, "can't read the model: .*No such file"), (b"x", "no GGUF")):
            if content is not None:
                path.write_bytes(content)
            with pytest.raises(UsageError, match=f"can't be used: local-model: .*{why}"):
                async with open_server(LocalModel(path), settings={}):
                    raise AssertionError
