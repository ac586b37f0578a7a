"""A server of our own, in a process of its own."""

import signal
from pathlib import Path

from cli_kit import open_chat, prompts, say
from process_kit import open_process

from trio_agent.testing.openai import finish, open_scripted_openai, text


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
