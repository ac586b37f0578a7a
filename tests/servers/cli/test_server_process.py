"""A server of our own, in a process of its own."""

import signal
from pathlib import Path

from cli_kit import open_chat, prompts, say

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
        assert b"Traceback" not in chat.stderr
        assert b"SIGTERM: draining" in chat.stderr
