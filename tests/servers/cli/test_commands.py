"""What the subcommands do, given what the command line says."""

import argparse
import json
import math
import operator
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from cli_kit import command, ended, open_chat, prompts, refused, say
from process_kit import open_process

from trio_agent import CancelAfter, MemoryStore, OpenAIModel, Retention, RuntimeLimits
from trio_agent.servers import LOOPBACK_HOSTS, Guard
from trio_agent.servers.cli import _commands, _main
from trio_agent.servers.cli._agents import DEFAULT_INSTRUCTIONS, DEFAULT_MODEL
from trio_agent.servers.cli._serve import ServeOptions
from trio_agent.testing.openai import ScriptedServer, finish, open_scripted_openai, text


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (["serve", "--host", "0.0.0.0"], {}, "only loopback addresses can be bound"),
        (["serve", "--host", "example.com"], {}, "only loopback addresses can be bound"),
        (["serve"], {"TRIO_AGENT_HOST": "::"}, "only loopback addresses can be bound"),
        (["serve"], {"TRIO_AGENT_TOKENS": "alice:s3cret"}, "16 characters at least"),
        (["serve"], {"TRIO_AGENT_TOKENS": ":s3cret-s3cret-s3cret"}, "name:token pairs"),
        (["serve"], {"TRIO_AGENT_TOKENS": "s3cret-s3cret-s3cret"}, "name:token pairs"),
        (
            ["serve"],
            {"TRIO_AGENT_TOKENS": "a:s3cret-s3cret-s3cret a:s3cret-s3cret-s3cre2"},
            "two tokens for 'a'",
        ),
        (["chat", "--agent", "a", "--agent", "b"], {}, "chat talks to one agent: name 'a' or 'b'"),
        (["chat", "--agent", "a"], {}, "--agent a: the server that is started here has one agent"),
        (["chat", "--store", "runs.db"], {}, "--store takes memory, sqlite:PATH or"),
        (["threads"], {}, "--store"),
    ],
)
def test_wrong(
    arguments: list[str],
    env: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    said = refused(arguments, capsys)
    assert message in said
    assert said.count("\n") == 1
    assert "s3cret" not in said


def test_tokens() -> None:
    assert _commands._tokens("a:0123456789abcdef  b:x:0123456789abcde") == {
        "a": "0123456789abcdef",
        "b": "x:0123456789abcde",
    }
    assert _commands._tokens("") == {}


def test_tokens_open_other_addresses() -> None:
    options = argparse.Namespace(
        host="0.0.0.0", allow_host=["X.example"], allow_origin=[], allow_header=["X-Tenant"]
    )
    guard = _commands._guard(options, {"TRIO_AGENT_TOKENS": "alice:0123456789abcdef"})
    assert "x.example" in guard.hosts
    assert guard.headers == {"x-tenant"}


def test_own_token_is_for_no_other_process() -> None:
    options = argparse.Namespace(host="127.0.0.1", allow_host=[], allow_origin=[], allow_header=[])
    environment = {"TRIO_AGENT_OWN_TOKEN": "x"}
    assert _commands._guard(options, environment).authorize is not Guard().authorize
    assert environment == {}


class TestServeOptions:
    """What of a line reaches the server."""

    @pytest.fixture
    def served(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ServeOptions]:
        """Run `serve` with a server that only looks at its options."""
        seen: list[ServeOptions] = []

        async def serve(options: ServeOptions) -> None:
            await trio.lowlevel.checkpoint()
            seen.append(options)

        def run(*arguments: str) -> ServeOptions:
            with pytest.raises(SystemExit) as caught:
                _main.main(["serve", *arguments])
            assert caught.value.code == 0
            return seen[-1]

        for name in [name for name in os.environ if name.startswith(("TRIO_AGENT_", "OPENAI_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setattr(_commands, "serve", serve)
        return run

    def test_without_any(self, served: Callable[..., ServeOptions]) -> None:
        options = served("--model", "m")
        [agent] = options.agents
        assert (agent.name, agent.instructions) == ("default", DEFAULT_INSTRUCTIONS)
        assert isinstance(options.store, MemoryStore)
        assert (options.host, options.port, options.ws_port) == ("127.0.0.1", 8000, None)
        assert options.limits == RuntimeLimits()
        assert (options.on_disconnect, options.grace) == ("continue", 10)
        assert options.guard == Guard()
        assert (options.heartbeat, options.keep_alive) == (15, 75)
        assert (options.max_body, options.max_connections) == (8 << 20, 10_000)
        assert options.root_path == ""

    @pytest.mark.parametrize(
        ("arguments", "name", "value"),
        [
            (["--host", "localhost"], "host", "localhost"),
            (["--port", "0"], "port", 0),
            (["--ws-port", "8001"], "ws_port", 8001),
            (["--on-disconnect", "2.5"], "on_disconnect", CancelAfter(2.5)),
            (["--grace", "0.5"], "grace", 0.5),
            (["--max-streams", "7"], "limits.max_streams", 7),
            (["--max-log-bytes", "2MiB"], "limits.max_log_bytes", 2 << 20),
            (["--max-blob-bytes", "2MiB"], "limits.max_blob_bytes", 2 << 20),
            (["--max-thread-bytes", "2MiB"], "limits.max_thread_bytes", 2 << 20),
            (["--retention", "7"], "limits.retention", Retention(7, thread_seconds=7)),
            (["--retention", "inf"], "limits.retention", Retention(seconds=math.inf)),
            (["--retention-bytes", "2G"], "limits.retention", Retention(max_bytes=2 << 30)),
            (
                ["--store", "sqlite:runs.db", "--retention", "7d"],
                "limits.retention",
                Retention(7 * 86_400, math.inf, math.inf, thread_seconds=7 * 86_400),
            ),
            (
                ["--store", "sqlite:runs.db", "--retention-owner-bytes", "10G"],
                "limits.retention",
                Retention(math.inf, math.inf, math.inf, 10 << 30),
            ),
            (["--store", "sqlite:runs.db"], "limits.retention", None),
            (["--heartbeat", "5"], "heartbeat", 5),
            (["--keep-alive", "5"], "keep_alive", 5),
            (["--max-body", "4MiB"], "max_body", 4 << 20),
            (["--max-connections", "5"], "max_connections", 5),
            (["--root-path", "/agents/"], "root_path", "/agents"),
            (["--allow-header", "X-Tenant"], "guard.headers", {"x-tenant"}),
            (["--allow-option", "seed"], "allow_options", ["seed"]),
            (["--allow-limit", "maxSteps"], "allow_limits", ["maxSteps"]),
            (["--store-patience", "30"], "limits.store_patience", 30),
            (["--allow-host", "A.example"], "guard.hosts", {*LOOPBACK_HOSTS, "a.example"}),
            (
                ["--allow-origin", "https://a.example", "--allow-origin", "https://b.example"],
                "guard.origins",
                {"https://a.example", "https://b.example"},
            ),
            (["--store", "valkey://h", "--lease", "7"], "store.lease", 7),
        ],
    )
    def test_each(
        self,
        arguments: list[str],
        name: str,
        value: object,
        served: Callable[..., ServeOptions],
    ) -> None:
        options = served("--model", "m", *arguments)
        assert operator.attrgetter(name)(options) == value

    @pytest.mark.parametrize(
        ("arguments", "env", "name", "base_url"),
        [
            (["--model", "m"], {}, "m", None),
            (["--model", "m", "--base-url", "http://a/v1"], {}, "m", "http://a/v1"),
            (["--base-url", "http://a/v1"], {}, DEFAULT_MODEL, "http://a/v1"),
            (["--base-url", "http://a/v1"], {"OPENAI_MODEL": "o"}, "o", "http://a/v1"),
            (["--model", "m"], {"TRIO_AGENT_BASE_URL": "http://b/v1"}, "m", "http://b/v1"),
            (
                ["--base-url", "http://a/v1"],
                {"TRIO_AGENT_BASE_URL": "http://b/v1", "TRIO_AGENT_MODEL": "e"},
                "e",
                "http://a/v1",
            ),
        ],
    )
    def test_model(
        self,
        arguments: list[str],
        env: dict[str, str],
        name: str,
        base_url: str | None,
        served: Callable[..., ServeOptions],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for variable, value in env.items():
            monkeypatch.setenv(variable, value)
        [agent] = served(*arguments).agents
        assert isinstance(agent.model, OpenAIModel)
        assert (agent.model.name, agent.model.base_url) == (name, base_url)


class TestBaseURL:
    """The endpoint that is named beside the model, and no other one, is asked."""

    ELSEWHERE = "http://127.0.0.1:1/v1"

    @pytest.mark.parametrize("by", ["option", "environment"])
    async def test_batch(self, by: str, tmp_path: Path) -> None:
        (tmp_path / "p.jsonl").write_text('"hi"\n')
        async with open_scripted_openai([[text("Hello."), finish()]]) as provider:
            arguments, env = self.named(by, provider)
            code, _, err = await command(
                "batch", "p.jsonl", "--out", "o.jsonl", *arguments, cwd=tmp_path, **env
            )
            assert code == 0, err
            assert json.loads((tmp_path / "o.jsonl").read_text())["text"] == "Hello."
            assert models_of(provider) == ["m"]

    @pytest.mark.parametrize("by", ["option", "environment"])
    async def test_own_server_of_chat(self, by: str, tmp_path: Path) -> None:
        async with open_scripted_openai([[text("Hello."), finish()]]) as provider:
            arguments, env = self.named(by, provider)
            async with open_chat(*arguments, cwd=tmp_path, **env) as chat:
                await say(chat, "hi\n")
                await prompts(chat, 2)
                chat.process.send_signal(signal.SIGINT)
                assert "Hello.\n[stop: 1 steps]\n" in await ended(chat)
            assert models_of(provider) == ["m"]

    @pytest.mark.parametrize("by", ["option", "environment"])
    async def test_own_server_of_demo(self, by: str, tmp_path: Path) -> None:
        async with open_scripted_openai([[text("No."), finish()]]) as provider:
            arguments, env = self.named(by, provider)
            code, out, err = await command("demo", *arguments, cwd=tmp_path, **env)
            assert code == 0, err
            assert "No.\n" in out
            assert models_of(provider) == ["m"]

    def named(self, by: str, provider: ScriptedServer) -> tuple[list[str], dict[str, str]]:
        others = {"OPENAI_BASE_URL": self.ELSEWHERE, "OPENAI_MODEL": "other"}
        if by == "option":
            others = {**others, "TRIO_AGENT_BASE_URL": self.ELSEWHERE, "TRIO_AGENT_MODEL": "other"}
            return ["--model", "m", "--base-url", provider.base_url], others
        return [], {
            **others,
            "TRIO_AGENT_BASE_URL": provider.base_url,
            "TRIO_AGENT_MODEL": "m",
        }


def models_of(provider: ScriptedServer) -> list[str]:
    """What the provider was asked for an answer of."""
    return [request.body["model"] for request in provider.requests if request.body]


async def test_several_agents(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from trio_agent import Agent\ntwo = [Agent(name=n, model='m') for n in 'ab']\n"
    )
    arguments = ("batch", "p", "--out", "o", "--agent", "mine:two")
    async with open_process(*arguments, cwd=tmp_path) as process:
        assert await process.process.wait() == 2
        await process.until(b"batch takes one agent", process.stderr)
