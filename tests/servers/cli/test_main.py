"""The command `trio-agent`, as a real process where processes matter."""

import argparse
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from process_kit import Process, open_process

from trio_agent import CancelAfter
from trio_agent.servers.cli import _commands, _converters, _main as _cli
from trio_agent.testing.openai import (
    Script,
    ScriptedOpenAI,
    finish,
    open_scripted_openai,
    pause,
    status,
    text,
    tool_call,
    usage,
)

AGENTS = """
from trio_agent import Agent
one = Agent(name="one", model="m")
many = [Agent(name="two", model="m"), Agent(name="three", model="m")]
class inner:
    four = Agent(name="four", model="m")
print_out = None
"""
STREAM = "/stream?prompt=x"


@asynccontextmanager
async def open_serve(
    script: Script, *arguments: str, cwd: Path, **env: str
) -> AsyncIterator[tuple[Process, ScriptedOpenAI]]:
    async with open_scripted_openai(script) as provider:
        env = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": "sk-secret-key", **env}
        async with open_process("serve", "--port", "0", *arguments, cwd=cwd, **env) as process:
            yield process, provider


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

    async def test_agent_that_prints(self, tmp_path: Path) -> None:
        # What it prints when it is imported is before the ready line, and its own business; an
        # error of it is one line.
        (tmp_path / "broken.py").write_text("import not_there_at_all\n")
        async with open_process("serve", "--agent", "broken:agent", cwd=tmp_path) as process:
            assert await process.process.wait() == 2
            await process.until(b"\n", process.stderr)
            assert process.stderr.count(b"\n") == 1
            assert b"not_there_at_all" in process.stderr


class TestUsage:
    """Wrong usage: one clear line, status 2, no traceback."""

    @pytest.mark.parametrize(
        ("arguments", "env", "message"),
        [
            ([], {}, "required: COMMAND"),
            (["fly"], {}, "invalid choice: 'fly'"),
            (["serve", "--fly"], {}, "unrecognized arguments: --fly"),
            (["serve", "--port", "x"], {}, "--port: 'x' is not a port, 0 to 65535"),
            (["serve", "--port", "65536"], {}, "not a port"),
            (["serve", "--port", "-1"], {}, "not a port"),
            (["serve"], {"TRIO_AGENT_PORT": "x"}, "--port: 'x' is not a port"),
            (["serve", "--grace", "soon"], {}, "'soon' is not a number of seconds"),
            (["serve", "--lease", "0.5"], {}, "'0.5' is not a number of seconds, 1 at least"),
            (["serve", "--grace", "inf"], {}, "not a number of seconds"),
            (["serve", "--grace", "nan"], {}, "not a number of seconds"),
            (["serve", "--retention", "-1"], {}, "not a number of seconds"),
            (["serve", "--max-streams", "0"], {}, "'0' is not a whole number from 1"),
            (["serve", "--max-log-bytes", "1"], {}, "not a size such as 64MiB"),
            (["serve", "--max-log-bytes", "1TiB"], {}, "not a size such as 64MiB"),
            (["serve", "--on-disconnect", "maybe"], {}, "continue, cancel or a number of seconds"),
            (["serve", "--agent", "nope"], {}, "takes MODULE:ATTRIBUTE, not 'nope'"),
            (["serve", "--agent", ":nope"], {}, "takes MODULE:ATTRIBUTE"),
            (["serve", "--agent", "nope:"], {}, "takes MODULE:ATTRIBUTE"),
            (["serve", "--agent", "nope_nope:x"], {}, "can't import 'nope_nope'"),
            (["serve", "--agent", "math:nope"], {}, "'math' has no 'nope'"),
            (["serve", "--agent", "math:pi"], {}, "neither an Agent nor a list of them"),
            (["serve", "--agent", "sys:meta_path"], {}, "neither an Agent nor a list of them"),
            (["serve", "--gguf", "/nope.gguf"], {}, "there is no file '/nope.gguf' (--gguf)"),
            (["serve", "--host", "0.0.0.0"], {}, "only loopback addresses can be bound"),
            (["serve", "--host", "example.com"], {}, "only loopback addresses can be bound"),
            (["serve"], {"TRIO_AGENT_HOST": "::"}, "only loopback addresses can be bound"),
            (["serve"], {"TRIO_AGENT_TOKENS": "alice:s3cret"}, "16 characters at least"),
            (["serve"], {"TRIO_AGENT_TOKENS": ":s3cret-s3cret-s3cret"}, "name:token pairs"),
            (["serve"], {"TRIO_AGENT_TOKENS": "s3cret-s3cret-s3cret"}, "name:token pairs"),
        ],
    )
    def test_wrong(
        self,
        arguments: list[str],
        env: dict[str, str],
        message: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as caught:
            _cli.main(arguments)
        assert caught.value.code == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert message in output.err.splitlines()[-1]
        assert "s3cret" not in output.err

    def test_help(self, capsys: pytest.CaptureFixture[str]) -> None:
        for command in ("serve", "demo", "chat"):
            with pytest.raises(SystemExit) as caught:
                _cli.main([command, "--help"])
            assert caught.value.code == 0
            assert "--model" in capsys.readouterr().out

    def test_ctrl_c(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(options: argparse.Namespace) -> int:
            raise KeyboardInterrupt

        monkeypatch.setattr(_commands, "run_demo", interrupted)
        with pytest.raises(SystemExit) as caught:
            _cli.main(["demo"])
        assert caught.value.code == 130

    @pytest.mark.parametrize(
        ("text_", "size"),
        [
            ("1024", 1024),
            ("1KiB", 1024),
            ("64MiB", 64 << 20),
            ("2gib", 2 << 30),
        ],
    )
    def test_sizes(self, text_: str, size: int) -> None:
        assert _converters.size(text_) == size

    @pytest.mark.parametrize(
        ("text_", "policy"),
        [("continue", "continue"), ("cancel", "cancel"), ("2.5", CancelAfter(2.5))],
    )
    def test_policies(self, text_: str, policy: object) -> None:
        assert _converters.policy(text_) == policy

    def test_tokens(self) -> None:
        assert _commands._tokens("a:0123456789abcdef  b:x:0123456789abcde") == {
            "a": "0123456789abcdef",
            "b": "x:0123456789abcde",
        }
        assert _commands._tokens("") == {}

    def test_hosts_and_loopback(self) -> None:
        assert all(
            _commands._is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost")
        )
        assert not any(
            _commands._is_loopback(host) for host in ("0.0.0.0", "::", "example.com", "")
        )

    def test_tokens_open_other_addresses(self) -> None:
        options = argparse.Namespace(host="0.0.0.0", allow_host=["X.example"], allow_origin=[])
        guard = _commands._guard(options, {"TRIO_AGENT_TOKENS": "alice:0123456789abcdef"})
        assert "x.example" in guard.hosts


DEMO_CALL = tool_call("c1", "get_weather", ['{"ci', 'ty":', ' "Os', 'lo"}'])
LONG_ANSWER = [text(f"word{number} ") for number in range(40)]


class TestDemo:
    @staticmethod
    async def run(script: Script, cwd: Path, **env: str) -> tuple[int, str, str]:
        async with open_scripted_openai(script) as provider:
            settings = {"OPENAI_BASE_URL": provider.base_url, **env}
            async with open_process("demo", cwd=cwd, **settings) as process:
                code = await process.process.wait()
                while not process.stdout.endswith(b"\n"):
                    await process.news.wait()
                return code, process.stdout.decode(), process.stderr.decode()

    async def test_with_a_tool(self, tmp_path: Path) -> None:
        script = [
            [text("Let me "), text("look. "), *DEMO_CALL, finish("tool_calls"), usage(9, 9)],
            [*LONG_ANSWER, finish(), usage(9, 40)],
        ]
        # Settings for servers of others are not those of the demo's own.
        others = {
            "TRIO_AGENT_TOKENS": "alice:0123456789abcdef",
            "TRIO_AGENT_HOST": "0.0.0.0",
            "TRIO_AGENT_AGENT": "math:pi",
        }
        code, out, err = await self.run(script, tmp_path, **others)
        assert code == 0, out + err
        assert '-> get_weather({"city":"Oslo"})' in out
        assert "<- ok: Oslo: -3 degrees Celsius, snow (made-up data)" in out
        assert "-- connection cut after event" in out
        assert "-- resumed with Last-Event-ID" in out
        assert "byte for byte" in out.splitlines()[-1]
        assert "called no tool" not in out
        assert "word39" in out
        assert "\x1b" not in out
        assert "Traceback" not in err

    async def test_without_a_tool(self, tmp_path: Path) -> None:
        code, out, _ = await self.run([[*LONG_ANSWER, finish()]], tmp_path)
        assert code == 0
        assert "-- the model called no tool this time" in out

    async def test_short_answer(self, tmp_path: Path) -> None:
        code, out, _ = await self.run([[text("No."), finish()]], tmp_path)
        assert code == 0
        assert "-- the run was too short to be cut" in out

    async def test_run_that_fails(self, tmp_path: Path) -> None:
        failing = [status(401, body={"error": {"message": "no"}})]
        code, out, _ = await self.run([failing] * 5, tmp_path)
        assert code == 1
        assert out.splitlines()[-1] == "-- FAILED: the run did not finish"
