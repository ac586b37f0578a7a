"""Where commands that talk to a server find it."""

import json
import signal
import socket
from functools import partial
from pathlib import Path

import pytest
import trio
from cli_kit import command, ended, open_chat, open_serve, prompts, refused, say
from process_kit import open_server

from trio_agent.testing.openai import finish, text

NOBODY = "http://127.0.0.1:1/v1"


async def test_token_of_a_server(tmp_path: Path) -> None:
    env = {"TRIO_AGENT_TOKENS": "me:0123456789abcdef"}
    async with open_serve([[text("Hello."), finish()]], cwd=tmp_path, **env) as (server, _):
        url = await server.url()
        async with open_chat(
            "--url", url, cwd=tmp_path, TRIO_AGENT_TOKEN="0123456789abcdef"
        ) as chat:
            await say(chat, "hi\n")
            await prompts(chat, 2)
            chat.process.send_signal(signal.SIGINT)
            assert "Hello.\n" in await ended(chat)
        async with open_chat("--url", url, cwd=tmp_path, TRIO_AGENT_TOKEN="wrong") as chat:
            await say(chat, "hi\n")
            await chat.until(b"-- no answer: unauthorized", chat.stdout)


async def test_no_server(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with open_chat("--url", url, cwd=tmp_path) as chat:
            assert await chat.process.wait() == 2
            await chat.until(f"trio-agent: error: {url} can't be used: ".encode(), chat.stderr)


async def test_hostile_server(tmp_path: Path) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        body = json.dumps({"error": {"code": "not-ready", "message": "a\x1b]0;b\x07\x9bc"}})
        head = f"HTTP/1.1 503 Odd\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        await stream.send_all((head + body).encode())

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        ended = await command("chat", "--url", url, cwd=tmp_path)
        assert ended == (2, "", f"trio-agent: error: {url} can't be used: a ]0;b c\n")
        nursery.cancel_scope.cancel()


async def test_a_file_that_a_server_has(tmp_path: Path) -> None:
    store = "sqlite:runs.db"
    async with open_server(store, cwd=tmp_path):
        code, out, err = await command("chat", "--store", store, "--base-url", NOBODY, cwd=tmp_path)
    theirs, ours = err.splitlines()
    assert (code, out) == (2, "")
    assert "runs.db is in use by another server" in theirs
    assert ours == (
        "trio-agent: error: the server did not start; see above; the server of a chat that was"
        " closed in an answer has the file for 10 s more (TRIO_AGENT_GRACE): try again then; to a"
        " server that stays, talk with --url"
    )


async def test_a_server_that_fails_otherwise(tmp_path: Path) -> None:
    arguments = ("chat", "--store", "sqlite:no/runs.db", "--base-url", NOBODY)
    code, _, err = await command(*arguments, cwd=tmp_path)
    ours = "trio-agent: error: the server did not start; see above"
    assert (code, err.splitlines()[1:]) == (2, [ours])


class TestWhatIsForAServerOfOurOwn:
    URL = ("chat", "--url", NOBODY, "--file", "no.png")

    @pytest.mark.parametrize(
        "given",
        [
            ("--store", "sqlite:runs.db"),
            ("--agent", "math:pi"),
            ("--model", "m"),
            ("--base-url", NOBODY),
            ("--gguf", "m.gguf"),
            ("--verbose",),
        ],
    )
    def test_is_not_for_another_one(
        self, given: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = refused([*self.URL, *given], capsys)
        assert said.startswith(
            f"trio-agent: error: {given[0]} is for a server that is started here, and --url names"
            " one that runs: leave one of them out"
        )
        assert ("by --agent NAME" in said) == (given[0] == "--agent")

    def test_a_variable_is_for_all_commands(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name, value in (
            ("STORE", "sqlite:runs.db"),
            ("AGENT", "math:pi"),
            ("MODEL", "m"),
            ("BASE_URL", NOBODY),
            ("GGUF", "m.gguf"),
        ):
            monkeypatch.setenv(f"TRIO_AGENT_{name}", value)
        assert "--file no.png: " in refused(list(self.URL), capsys)

    def test_nor_is_it_if_a_variable_names_that(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("TRIO_AGENT_URL", NOBODY)
        said = refused(["chat", "--store", "sqlite:runs.db"], capsys)
        assert "and TRIO_AGENT_URL names one that runs" in said
