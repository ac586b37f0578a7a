"""docs/websocket.md"""

import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from process_kit import open_process
from program_kit import EXAMPLES, REPOSITORY, run_program
from server_kit import StepModel
from till_kit import Till, asleep
from websocket_kit import Socket, WebSocketKit, open_websocket_server

from trio_agent import Agent, MemoryStore, StoreUnavailable, open_runtime
from trio_agent.servers import serve_websocket
from trio_agent.servers._shared.intake import FREE, LARGEST_AT_ONCE
from trio_agent.servers.websocket import _server, _session
from trio_agent.testing import ScriptedModel, call
from trio_agent.testing.openai import Script, finish, open_scripted_openai, status, text

PAGE = (REPOSITORY / "docs" / "websocket.md").read_text()
SHOWN = {
    name: json.loads(shown)
    for name, shown in re.findall(r"<!-- test: ([a-z-]+) -->\n```json\n(.*?)```\n", PAGE, re.DOTALL)
}
RUN = SHOWN["started"]["runId"]


def same(message: Any) -> Any:
    """Take out of a message what differs from run to run."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "RUN", json.dumps(message))
    text = re.sub(r"RUN\.[0-9a-f]{8}\.", "RUN.EPOCH.", text)
    return json.loads(re.sub(r'"at": \d{13}', '"at": 0', text))


def request(name: str, run: str, cursor: str = "") -> Any:
    """A request of the page, about this run."""
    shown = json.dumps(SHOWN[name])
    shown = re.sub(rf"{RUN}\.\w+\.\d+", cursor, shown)
    return json.loads(shown.replace(RUN, run))


async def test_start_and_subscribe() -> None:
    agent = Agent(name="weather", model=ScriptedModel(["It snows."]))
    async with open_websocket_server(agent) as kit, await kit.open() as socket:
        started = await socket.ask(SHOWN["start"])
        assert same(started) == same(SHOWN["started"])
        events = await socket.receive_run()
        assert same(events) == same(SHOWN["events"])
        run = started["runId"]

        answer = await socket.ask(request("subscribe", run, events[2]["id"]))
        assert same(answer) == same(SHOWN["subscribed"])
        assert await socket.receive_run() == events[3:]
        end = {**request("subscribe", run, events[-1]["id"]), "requestId": 3}
        assert same(await socket.ask(end)) == same(SHOWN["subscribed-ended"])

        answer = await socket.ask(request("unsubscribe", run))
        assert same(answer) == same(SHOWN["unsubscribed"])
        answer = await socket.ask({"type": "reboot", "requestId": 6})
        assert answer == SHOWN["error"]


async def test_seeds_form() -> None:
    assert '`{"prompt": "…"}` alone' in PAGE
    async with (
        open_websocket_server(ScriptedModel(["Hello."])) as kit,
        await kit.open() as socket,
    ):
        assert (await socket.ask({"prompt": "Hi"})).keys() == {"type", "runId"}
        assert (await socket.receive_run())[-1]["type"] == "run-finish"


async def start(socket: Socket) -> tuple[str, str]:
    """Start a run that waits; return its id and the last cursor."""
    run = (await socket.ask({"prompt": "Hi"}))["runId"]
    cursor = [(await socket.receive())["id"] for _ in range(2)][-1]
    return run, cursor


async def test_cancel() -> None:
    async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
        run, _ = await start(socket)
        await socket.send(request("cancel", run))
        terminal, answer = sorted([await socket.receive() for _ in range(2)], key=_is_answer)
        assert terminal["run"]["finishReason"] == "cancelled"
        assert same(answer) == same(SHOWN["cancelled"])


def _is_answer(message: Any) -> bool:
    return "id" not in message


async def test_answers_and_messages() -> None:
    till = Till([call("call_1", "pay", amount=7)], ["Done."])
    async with open_websocket_server(till.agent) as kit, await kit.open() as socket:
        run = await kit.start()
        await asleep(run)
        assert same(await socket.ask(request("say", run.id))) == same(SHOWN["said"])
        assert same(await socket.ask(request("answer", run.id))) == same(SHOWN["answered"])
        assert (await run.wait()).text == "Done."


async def test_subscription_error() -> None:
    async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
        run, cursor = await start(socket)
        live = await kit.runtime.find(run)
        live._feed.break_off(StoreUnavailable("the store is away"))
        answer = await socket.receive()
        assert answer["after"] == cursor
        assert same(answer) == same(SHOWN["subscription-error"])


async def test_draining() -> None:
    class Shared(MemoryStore):
        shared = True

    model = StepModel()
    async with open_runtime(store=Shared()) as runtime, trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve_websocket, runtime, [Agent(model=model)]))
        kit = WebSocketKit(runtime, None, int(url.rpartition(":")[2]), None, None)  # type: ignore[arg-type]
        async with await kit.open() as socket:
            run, cursor = await start(socket)
            nursery.start_soon(runtime.drain, 60)
            draining = await socket.receive()
            assert draining["cursors"] == {run: cursor}
            assert same(draining) == same(SHOWN["draining"])
            assert await socket.receive() is None
            assert socket.close_code == 1012
        model.finish()


async def test_who_breaks_the_protocol_is_told() -> None:
    codes = []
    async with open_websocket_server(StepModel()) as kit:
        # An unmasked frame, and text that is no UTF-8.
        for frame in (b"\x81\x02{}", b"\x81\x82\0\0\0\0\xff\xff"):
            async with await kit.open() as socket:
                await socket.stream.send_all(frame)
                assert await socket.receive() is None
                codes.append(socket.close_code)
    assert codes == [1002, 1007]


def test_all_answers_are_compared() -> None:
    compared = re.findall(r'(?:SHOWN\[|request\()"([a-z-]+)"', Path(__file__).read_text())
    assert set(compared) == set(SHOWN)
    assert PAGE.count("```json") == len(SHOWN)


def test_limits() -> None:
    limits = PAGE.partition("## Limits")[2].partition("## Drain")[0]
    assert f"| runs that a connection follows | {_session.MAX_SUBSCRIPTIONS} |" in limits
    assert f"| {_session.MAX_QUEUED}, and 1 MiB of them |" in limits
    assert _session.MAX_QUEUED_BYTES == 1 << 20
    assert f"by default {_server.MAX_MESSAGE >> 20} MiB |" in limits
    assert (_server._HARD_LIMIT, "beyond twice as many characters" in limits) == (2, True)
    assert f"{LARGEST_AT_ONCE} times `--max-body` together; the first {FREE >> 10} KiB" in limits
    assert f"| a handshake | {_server._HANDSHAKE:g} seconds |" in limits


@asynccontextmanager
async def serving(script: Script, folder: Path) -> AsyncIterator[str]:
    """Run the command of the page; yield the address of its WebSocket."""
    shutil.copy(EXAMPLES / "server" / "weather.py", folder)
    arguments = "serve --agent weather:agent --ws-port 8001".replace("8001", "0")
    async with (
        open_scripted_openai(script) as provider,
        open_process(
            *arguments.split(),
            *("--port", "0"),
            cwd=folder,
            OPENAI_BASE_URL=provider.base_url,
            OPENAI_API_KEY="sk-test",
        ) as process,
    ):
        await process.url()
        yield process.stdout.decode().split()[2]


async def test_talk(tmp_path: Path) -> None:
    script = [[text("It "), text("snows."), finish()], [status(400)]]
    async with serving(script, tmp_path) as url:
        talk = EXAMPLES / "websocket/talk.py"
        assert await run_program(talk, [], tmp_path, url) == "started\nIt snows.\nstop\n"
        assert await run_program(talk, [], tmp_path, url) == "started\n\nfailed: bad-request\n"
    assert "websocket/talk"


async def test_follow(tmp_path: Path) -> None:
    async with serving([[text("It "), text("snows."), finish()]], tmp_path) as url:
        follow = EXAMPLES / "websocket/follow.py"
        assert await run_program(follow, [], tmp_path, url) == "It snows.\nstop\n"
    assert "websocket/follow"
