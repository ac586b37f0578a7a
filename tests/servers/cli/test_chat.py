"""``trio-agent chat`` as a real process, with its input piped."""

import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import process_agents
import pytest
from cli_kit import command, ended, heard, open_chat, prompts, say
from process_kit import Process, free_port, open_process, open_server
from valkey_kit import running_server

from trio_agent import AnyMessage, AssistantMessage, UserMessage
from trio_agent.client import Client, open_client
from trio_agent.testing.openai import (
    ScriptedServer,
    finish as finished,
    open_scripted_openai,
    status,
    text,
)

RECEIPT = re.compile(rb"-- cancelled at event (\d+); nothing is left\n")


async def leave(chat: Process) -> str:
    """Let its input end, and return all that it said."""
    assert chat.process.stdin is not None
    await chat.process.stdin.aclose()
    return await ended(chat)


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
        out = await leave(chat)
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
                await leave(chat)


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
            # What was said is taken back, and said again.
            await heard(chat, b"word3 ", 2)
            assert (
                b"-- the connection was lost; resumed\n[goes on: worker-lost]\n"
                b"[taken back: what step 1 has said; it is asked again (worker-lost)]\nword0 "
            ) in chat.stdout
            chat.process.send_signal(signal.SIGINT)
            await prompts(chat, 2)
            await say(chat, "1\n")
            await heard(chat, b"word3 ", 3)
            await second.kill()
        # This one knows nothing of the run.
        async with open_server("memory", port=port, cwd=tmp_path):
            await prompts(chat, 3)
            assert b"-- no answer: " in chat.stdout
            chat.process.send_signal(signal.SIGINT)
            await ended(chat)


@asynccontextmanager
async def open_asking(cwd: Path) -> AsyncIterator[str]:
    """Serve an agent that has to ask."""
    path = str(Path(process_agents.__file__).parent)
    arguments = ("--port", "0", "--agent", "process_agents:asking")
    async with open_process("serve", *arguments, cwd=cwd, PYTHONPATH=path) as server:
        yield await server.url()


WAITS = b'?? send({"to":"Ann"}) waits for somebody to approve it [a]\napprove? [y/N] '


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("y\n", "<- ok: sent to Ann\n"),
        ("YES\n", "<- ok: sent to Ann\n"),
        ("\n", "!! send: no\n"),
        ("n\n", "!! send: no\n"),
        ("not to Ann\n", "!! send: no: not to Ann\n"),
        (None, "!! send: no: nobody is there to be asked: the input has ended\n"),
    ],
)
async def test_call_that_waits(answer: str | None, result: str, tmp_path: Path) -> None:
    async with (
        open_asking(tmp_path) as url,
        open_chat("--url", url, cwd=tmp_path) as chat,
    ):
        assert chat.process.stdin is not None
        await say(chat, "go\n")
        await chat.until(WAITS, chat.stdout)
        if answer is not None:
            await say(chat, answer)
            await prompts(chat, 2)
        await chat.process.stdin.aclose()
        out = await ended(chat)
        assert result in out
        assert "Done.\n[stop: 2 steps]\n" in out


async def test_question_that_somebody_else_answers(tmp_path: Path) -> None:
    async with (
        open_asking(tmp_path) as url,
        open_client(url) as client,
        open_chat("--url", url, cwd=tmp_path) as chat,
    ):
        await say(chat, "go\n")
        await chat.until(WAITS, chat.stdout)
        [run] = (await client.runs()).runs
        code, out, err = await command(
            "answer", run.id, "a", "--approve", "--url", url, cwd=tmp_path
        )
        assert (code, out, err) == (0, "", "")
        await prompts(chat, 2)
        assert b"[y/N] \n-- it needs no answer any more\n" in chat.stdout
        assert b"<- ok: sent to Ann\n" in chat.stdout
        await leave(chat)


async def test_interrupted_at_a_question(tmp_path: Path) -> None:
    async with (
        open_asking(tmp_path) as url,
        open_chat("--url", url, cwd=tmp_path) as chat,
    ):
        await say(chat, "go\n")
        await chat.until(WAITS, chat.stdout)
        chat.process.send_signal(signal.SIGINT)
        await prompts(chat, 2)
        assert RECEIPT.search(chat.stdout)
        await leave(chat)


async def test_question_whose_input_is_an_answer(tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text(
        "from trio_agent import Agent, ask_user\n"
        "from trio_agent.testing import ScriptedModel, call\n"
        "model = ScriptedModel([call('c', 'ask_user', question='Who?')], ['Hello.'])\n"
        "agent = Agent(model=model, tools=[ask_user()])\n"
    )
    arguments = ("serve", "--port", "0", "--agent", "asks:agent")
    async with (
        open_process(*arguments, cwd=tmp_path) as server,
        open_chat("--url", await server.url(), cwd=tmp_path) as chat,
    ):
        await say(chat, "hi\n")
        await chat.until(b"waits for an answer [c]\nanswer: ", chat.stdout)
        await say(chat, "It is Ann.\n")
        await prompts(chat, 2)
        assert b"<- ok: It is Ann.\n" in chat.stdout
        await leave(chat)


async def converse(*arguments: str, lines: str, cwd: Path) -> str:
    """Say this, to the end of input."""
    async with open_chat(*arguments, cwd=cwd) as chat:
        await say(chat, lines)
        return await leave(chat)


def asked(provider: ScriptedServer) -> list[list[str]]:
    """What the provider was told each time, behind the instructions."""
    return [
        [message["content"] for message in request.body["messages"][1:]]
        for request in provider.requests
        if request.body
    ]


async def said_in(client: Client, thread: str) -> tuple[AnyMessage, ...]:
    return (await client.thread_messages(thread)).messages


class TestThreads:
    async def test_it_goes_on_when_the_program_has_ended(self, tmp_path: Path) -> None:
        script = [[text(answer), finished()] for answer in ("Hi, \x1b[1mAnn\x9b.", "Ann.", "Yes.")]
        async with open_scripted_openai(script) as provider:
            options = ("--store", "sqlite:runs.db", "--base-url", provider.base_url, "--model", "m")
            out = await converse(*options, lines="I am Ann.\n", cwd=tmp_path)
            found = re.fullmatch(
                r"-- a new thread; to come back to it: --thread (chat-[0-9a-f]{8})\n"
                r"> Hi, \[1mAnn\.\n\[stop: 1 steps\]\n> \n",
                out,
            )
            assert found, out
            name = found[1]
            out = await converse(*options, "--thread", name, lines="Who?\nSure?\n", cwd=tmp_path)
            assert out.startswith(
                f"-- the thread {name} goes on; turns so far: 1\n"
                "you: I am Ann.\nanswer: Hi, [1mAnn.\n> Ann.\n"
            )
            first = ["I am Ann.", "Hi, \x1b[1mAnn\x9b."]
            third = [*first, "Who?", "Ann.", "Sure?"]
            assert asked(provider) == [first[:1], [*first, "Who?"], third]
        code, out, _ = await command("threads", "--store", "sqlite:runs.db", cwd=tmp_path)
        assert (code, out.split("\t")[:3]) == (0, [name, "3 turns", "idle"])

    async def test_again(self, tmp_path: Path) -> None:
        script = [[text(answer), finished()] for answer in ("a", "b", "c", "d")]
        async with open_scripted_openai(script) as provider:
            options = ("--base-url", provider.base_url, "--model", "m")
            lines = "/again\n1\n/again\n2\n /again \n"
            out = await converse(*options, lines=lines, cwd=tmp_path)
            assert out.startswith("> -- nothing was said yet that could be answered again\n> a")
            assert asked(provider) == [["1"], ["1"], ["1", "b", "2"], ["1", "b", "2"]]

    async def test_again_when_one_comes_back(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"x")
        script = [[text(answer), finished()] for answer in ("a", "b", "c", "d")]
        async with open_scripted_openai(script) as provider:
            options = ("--base-url", provider.base_url, "--model", "m", "--thread", "t")
            options += ("--store", "sqlite:runs.db")
            await converse(*options, lines="1\n", cwd=tmp_path)
            await converse(*options, "--file", "a.png", lines="2\n", cwd=tmp_path)
            out = await converse(*options, lines="/again\n/again\n", cwd=tmp_path)
            assert out.endswith("> c\n[stop: 1 steps]\n> d\n[stop: 1 steps]\n> \n")
            _, first, *others = asked(provider)
            assert (first[:2], first[2][1]) == (["1", "a"], {"type": "text", "text": "2"})
            assert others == [first, first]
            # Those that were answered again count once.
            out = await converse(*options, lines="", cwd=tmp_path)
            assert out.startswith("-- the thread t goes on; turns so far: 2\nyou: 1\nanswer: a\n")

    async def test_again_with_a_file_that_is_not_kept(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"x")
        async with (
            open_server("memory", cwd=tmp_path) as server,
            open_client(await server.url()) as client,
        ):
            arguments = ("--url", await server.url(), "--thread", "t")
            await converse(*arguments, "--file", "a.png", lines="1\n", cwd=tmp_path)
            [run] = (await client.runs()).runs
            await client.delete(run.id)
            out = await converse(*arguments, lines="/again\n", cwd=tmp_path)
            assert out.count("-- no answer: ") == 1
            assert len(await said_in(client, "t")) == 4

    async def test_again_takes_the_place_of_nothing_that_was_not_shown(
        self, tmp_path: Path
    ) -> None:
        async def say_elsewhere(prompt: str) -> str:
            run_id = await client.start(prompt, thread="t")
            async with client.subscribe(run_id) as events:
                assert [event async for event in events][-1].terminal
            return run_id

        async with (
            open_server("memory", cwd=tmp_path) as server,
            open_client(await server.url()) as client,
            open_chat("--url", await server.url(), "--thread", "t", cwd=tmp_path) as chat,
        ):
            await prompts(chat, 1)
            first = await say_elsewhere("1")
            await say(chat, "2\n")
            await prompts(chat, 2)
            # Behind what somebody has said before.
            await say(chat, "/again\n")
            await prompts(chat, 3)
            turns = (await client.thread_messages("t")).turns
            assert [turn.run_id for turn in turns][:-1] == [first]
            # And afterwards, which is shown first.
            other = await say_elsewhere("3")
            await say(chat, "/again\n")
            await prompts(chat, 4)
            assert (
                b"> -- not asked again: this was said meanwhile; /again answers it\nyou: 2\n"
            ) in chat.stdout
            assert b"\nyou: 3\nanswer: word0 " in chat.stdout
            assert (await client.thread("t")).head == other
            await say(chat, "/again\n")
            await prompts(chat, 5)
            again = (await client.thread_messages("t")).turns
            assert again[:-1] == turns
            assert again[-1].run_id != other
            await leave(chat)

    async def test_again_where_there_was_no_answer(self, tmp_path: Path) -> None:
        script = [
            [text("a"), finished()],
            *[status(400)] * 2,
            [text("b"), finished()],
            [text("c"), finished()],
        ]
        async with open_scripted_openai(script) as provider:
            options = ("--base-url", provider.base_url, "--model", "m")
            lines = "1\n2\n" + 3 * "/again\n"
            await converse(*options, lines=lines, cwd=tmp_path)
            assert asked(provider) == [["1"], *[["1", "a", "2"]] * 4]

    async def test_an_answer_that_was_cancelled_stays(self, tmp_path: Path) -> None:
        async with (
            open_server("memory", cwd=tmp_path) as server,
            open_client(await server.url()) as client,
            open_chat("--url", await server.url(), "--thread", "t", cwd=tmp_path) as chat,
        ):
            assert chat.process.stdin is not None
            await say(chat, "100000\n")
            await chat.until(b"word1 ", chat.stdout)
            chat.process.send_signal(signal.SIGINT)
            await prompts(chat, 2)
            await say(chat, "1\n")
            await heard(chat, b"word0 ", 2)
            chat.process.send_signal(signal.SIGINT)
            await prompts(chat, 3)
            first, answer, second, _ = await said_in(client, "t")
            assert first == UserMessage("100000")
            assert isinstance(answer, AssistantMessage)
            assert answer.content.startswith("word0 word1 ")
            assert second == UserMessage("1")
            assert (await leave(chat)).startswith("-- the thread t is new\n> word0 ")

    async def test_a_run_is_active_in_it(self, tmp_path: Path) -> None:
        async with (
            open_server("memory", cwd=tmp_path) as server,
            open_client(await server.url()) as client,
        ):
            run_id = await client.start("100000", thread="t")
            async with open_chat(
                "--url", await server.url(), "--thread", "t", cwd=tmp_path
            ) as chat:
                # It is shown to who comes.
                await chat.until(b"word3 ", chat.stdout)
                head = f"-- the thread t goes on; turns so far: 0\n-- run {run_id} is active in it;"
                assert chat.stdout.startswith(f"{head} Ctrl-C cancels it\nword0 ".encode())
                chat.process.send_signal(signal.SIGINT)
                await prompts(chat, 1)
                # And to who says something meanwhile, which was not said.
                run_id = await client.start("100000", thread="t")
                await say(chat, "1\n")
                await heard(chat, b"word3 ", 2)
                chat.process.send_signal(signal.SIGINT)
                await prompts(chat, 2)
                assert (
                    f"> -- not said: run {run_id} is active in this thread, and shown here; say it"
                    " again when that has ended. Ctrl-C cancels it\nword0 "
                ).encode() in chat.stdout
                await say(chat, "/again\n")
                await heard(chat, b"word3 ", 3)
                chat.process.send_signal(signal.SIGINT)
                await prompts(chat, 3)
                await leave(chat)
            assert [
                message.content
                for message in await said_in(client, "t")
                if isinstance(message, UserMessage)
            ] == ["100000", "100000", "1"]

    async def test_a_run_that_waits_is_answered_by_who_comes_back(self, tmp_path: Path) -> None:
        async with open_asking(tmp_path) as url:
            arguments = ("--url", url, "--thread", "t")
            async with open_chat(*arguments, cwd=tmp_path) as chat:
                await say(chat, "go\n")
                await chat.until(WAITS, chat.stdout)
            async with open_chat(*arguments, cwd=tmp_path) as chat:
                await chat.until(WAITS, chat.stdout)
                assert b" is active in it; " in chat.stdout
                await say(chat, "y\n")
                await prompts(chat, 1)
                assert b"<- ok: sent to Ann\n" in chat.stdout
                await leave(chat)

    async def test_a_run_of_another_server(self, tmp_path: Path) -> None:
        with running_server(tmp_path) as valkey:
            async with (
                open_server(valkey.url, cwd=tmp_path) as server,
                open_client(await server.url()) as client,
            ):
                run_id = await client.start("100000", thread="t")
                arguments = ("--store", valkey.url, "--agent", "process_agents:agents")
                path = str(Path(process_agents.__file__).parent)
                async with open_chat(
                    *arguments, "--thread", "t", cwd=tmp_path, PYTHONPATH=path
                ) as chat:
                    await chat.until(b"word3 ", chat.stdout)
                    assert f"-- run {run_id} is active in it;".encode() in chat.stdout
                    chat.process.send_signal(signal.SIGINT)
                    await prompts(chat, 1)
                    assert RECEIPT.search(chat.stdout)
                    await leave(chat)
                assert (await client.thread("t")).active is None

    async def test_over_websocket(self, tmp_path: Path) -> None:
        async with open_server("memory", "--ws-port", "0", cwd=tmp_path) as server:
            await server.url()
            url = server.stdout.decode().split()[2]
            out = await converse("--url", url, "--thread", "t", lines="1\n/again\n", cwd=tmp_path)
            assert out.startswith("-- the thread t can't be looked at: not-supported: ")
            again = "> -- what was said last, and behind what, is not known: not-supported: "
            assert again in out.splitlines()[-2]
            assert out.count("-> look") == 1


class TestAgents:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "mine.py").write_text(
            "from trio_agent import Agent\n"
            "from trio_agent.testing import ScriptedModel\n"
            "both = [Agent(name=name, model=ScriptedModel([f'I am {name}.'])) for name in 'ab']\n"
        )
        return tmp_path

    @pytest.mark.parametrize(("names", "said"), [((), "I am a."), (("--agent", "b"), "I am b.")])
    async def test_one_of_several(self, names: tuple[str, ...], said: str, folder: Path) -> None:
        out = await converse("--agent", "mine:both", *names, lines="hi\n", cwd=folder)
        assert out == f"> {said}\n[stop: 1 steps]\n> \n"

    async def test_none_of_them(self, folder: Path) -> None:
        out = await converse("--agent", "mine:both", "--agent", "c", lines="hi\n", cwd=folder)
        assert out == "> -- no answer: unknown-agent: there is no agent 'c'; there are: a, b\n> \n"
