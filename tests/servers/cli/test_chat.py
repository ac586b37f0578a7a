"""``trio-agent chat`` as a real process, with its input piped."""

import re
import signal
from pathlib import Path

from cli_kit import command, ended, heard, open_chat, prompts, say
from process_kit import free_port, open_server

RECEIPT = re.compile(rb"-- cancelled at event (\d+); nothing is left\n")


async def test_conversation_to_the_end_of_input(tmp_path: Path) -> None:
    async with (
        open_server("memory", cwd=tmp_path) as server,
        open_chat("--url", await server.url(), cwd=tmp_path) as chat,
    ):
        await say(chat, "2\n")
        await prompts(chat, 2)
        assert b'word0 word1 \n-> look({"city":"Oslo"})\n<- ok: Oslo: snow\nword0' in chat.stdout
        # Nothing was said; then the transcript goes on, so that no tool is called again.
        await say(chat, "\n3\n")
        await prompts(chat, 4)
        assert chat.process.stdin is not None
        await chat.process.stdin.aclose()
        out = await ended(chat)
        assert out.count("-> look") == 1
        assert out.count("[stop: 2 steps]") == 1
        assert out.endswith("[stop: 1 steps]\n> \n")


async def test_files_go_with_what_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b.pdf").write_bytes(b"x")
    async with open_server("memory", "--ws-port", "0", cwd=tmp_path) as server:
        await server.url()
        _, *urls = server.stdout.decode().split()
        for url in urls:
            arguments = ("--url", url, "--file", "a.png", "--file", "b.pdf")
            async with open_chat(*arguments, cwd=tmp_path) as chat:
                await say(chat, "1\n")
                await prompts(chat, 2)
                told = b"image/png of 3000000 bytes, application/pdf of 1 bytes, word0"
                assert chat.stdout.count(told) == 2
                # They are a part of what was said, and not said again.
                await say(chat, "1\n")
                await prompts(chat, 3)
                assert chat.stdout.count(told) == 3
                assert chat.process.stdin is not None
                await chat.process.stdin.aclose()
                await ended(chat)


async def test_file_that_is_none(tmp_path: Path) -> None:
    arguments = ("chat", "--url", "http://127.0.0.1:9", "--file", "no.png")
    code, out, err = await command(*arguments, cwd=tmp_path)
    expected = "trio-agent: error: --file no.png: No such file or directory\n"
    assert (code, out, err) == (2, "", expected)


async def test_interrupted_in_an_answer_and_at_the_prompt(tmp_path: Path) -> None:
    async with (
        open_server("memory", cwd=tmp_path) as server,
        open_chat("--url", await server.url(), cwd=tmp_path) as chat,
    ):
        await say(chat, "100000\n")
        await chat.until(b"word3 ", chat.stdout)
        chat.process.send_signal(signal.SIGINT)
        await prompts(chat, 2)
        assert b"[cancelled (requested by a client): 1 steps]\n" in chat.stdout
        assert RECEIPT.search(chat.stdout)
        # It goes on, behind what was said.
        await say(chat, "1\n")
        await heard(chat, b"word3 ", 2)
        chat.process.send_signal(signal.SIGINT)
        await prompts(chat, 3)
        assert len(RECEIPT.findall(chat.stdout)) == 2
        chat.process.send_signal(signal.SIGINT)
        assert (await ended(chat)).endswith("> \n")


async def test_server_that_dies_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    store = f"sqlite:{tmp_path / 'runs.db'}"
    async with (
        open_server(store, port=port, cwd=tmp_path) as first,
        open_chat("--url", url, cwd=tmp_path) as chat,
    ):
        await say(chat, "100000\n")
        await chat.until(b"word3 ", chat.stdout)
        await first.kill()
        async with open_server(store, port=port, cwd=tmp_path) as second:
            await prompts(chat, 2)
            assert b"-- the connection was lost; resumed\n[worker-lost: " in chat.stdout
            await say(chat, "1\n")
            await heard(chat, b"word3 ", 2)
            await second.kill()
        # This one knows nothing of the run.
        async with open_server("memory", port=port, cwd=tmp_path):
            await prompts(chat, 3)
            assert b"-- no answer: " in chat.stdout
            chat.process.send_signal(signal.SIGINT)
            await ended(chat)
