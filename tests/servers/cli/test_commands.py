"""What the subcommands do, given what the command line says."""

import argparse
import socket
from pathlib import Path

import pytest
from cli_kit import open_chat, refused
from process_kit import open_process

from trio_agent.servers.cli import _commands


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (["serve", "--host", "0.0.0.0"], {}, "only loopback addresses can be bound"),
        (["serve", "--host", "example.com"], {}, "only loopback addresses can be bound"),
        (["serve"], {"TRIO_AGENT_HOST": "::"}, "only loopback addresses can be bound"),
        (["serve"], {"TRIO_AGENT_TOKENS": "alice:s3cret"}, "16 characters at least"),
        (["serve"], {"TRIO_AGENT_TOKENS": ":s3cret-s3cret-s3cret"}, "name:token pairs"),
        (["serve"], {"TRIO_AGENT_TOKENS": "s3cret-s3cret-s3cret"}, "name:token pairs"),
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


def test_hosts_and_loopback() -> None:
    assert all(
        _commands._is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost")
    )
    assert not any(_commands._is_loopback(host) for host in ("0.0.0.0", "::", "example.com", ""))


def test_tokens_open_other_addresses() -> None:
    options = argparse.Namespace(host="0.0.0.0", allow_host=["X.example"], allow_origin=[])
    guard = _commands._guard(options, {"TRIO_AGENT_TOKENS": "alice:0123456789abcdef"})
    assert "x.example" in guard.hosts


async def test_several_agents(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from trio_agent import Agent\ntwo = [Agent(name=n, model='m') for n in 'ab']\n"
    )
    arguments = ("batch", "p", "--out", "o", "--agent", "mine:two")
    async with open_process(*arguments, cwd=tmp_path) as process:
        assert await process.process.wait() == 2
        await process.until(b"batch takes one agent", process.stderr)


async def test_no_server(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with open_chat("--url", url, cwd=tmp_path) as chat:
            assert await chat.process.wait() == 2
            await chat.until(f"trio-agent: error: {url} can't be used: ".encode(), chat.stderr)
