"""`trio-agent answer` and `trio-agent say`: through a server, beside it, and without one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cli_kit import command, refused
from process_kit import free_port, open_server

from trio_agent import RunFinish, RunWaiting, ToolAnswered, ToolResult, UserSaid
from trio_agent.client import Client, RemoteSubscription, open_client


@asynccontextmanager
async def open_waiting(url: str) -> AsyncIterator[tuple[Client, str, RemoteSubscription]]:
    """Start a run that waits for an approval, and follow it until it does."""
    async with open_client(url) as client:
        run_id = await client.start("go", agent="asking")
        async with client.subscribe(run_id) as events:
            async for event in events:
                if isinstance(event.event, RunWaiting):
                    break
            yield client, run_id, events


async def rest(events: RemoteSubscription) -> list[object]:
    found = [event.event async for event in events]
    assert isinstance(found[-1], RunFinish)
    return list(found)


def answers(events: list[object]) -> list[tuple[bool, str | None]]:
    return [(each.approved, each.reason) for each in events if isinstance(each, ToolAnswered)]


@pytest.mark.parametrize("place", ["url", "store"])
@pytest.mark.parametrize(
    ("said", "answer"),
    [(["--approve"], (True, None)), (["--deny", "--reason", "Not now."], (False, "Not now."))],
)
async def test_approval(
    place: str, said: list[str], answer: tuple[bool, str | None], tmp_path: Path
) -> None:
    store = f"sqlite:{tmp_path / 'runs.db'}"
    async with open_server(store, cwd=tmp_path) as server:
        url = await server.url()
        where = [f"--{place}", {"url": url, "store": store}[place]]
        async with open_waiting(url) as (_, run_id, events):
            told = await command("answer", run_id, "a", *said, *where, cwd=tmp_path)
            assert told == (0, "", "")
            assert answers(await rest(events)) == [answer]
            # Who has not heard of it may say it again; who says something else comes too late.
            told = await command("answer", run_id, "a", *said, *where, cwd=tmp_path)
            assert told == (0, "", "")
            other = ["--deny", "--reason", "late"]
            code, _, err = await command("answer", run_id, "a", *other, *where, cwd=tmp_path)
            assert code == 2
            assert "ended" in err


@pytest.mark.parametrize("place", ["url", "store"])
async def test_message(place: str, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'runs.db'}"
    async with open_server(store, cwd=tmp_path) as server:
        url = await server.url()
        where = [f"--{place}", {"url": url, "store": store}[place]]
        async with open_waiting(url) as (client, run_id, events):
            assert await command("say", run_id, "Hurry.", *where, cwd=tmp_path) == (0, "", "")
            await client.answer(run_id, "a", approved=True)
            said = [each for each in await rest(events) if isinstance(each, UserSaid)]
            assert [each.content for each in said] == ["Hurry."]


async def test_whose_server_is_gone(tmp_path: Path) -> None:
    """It is taken by the next one."""
    store = f"sqlite:{tmp_path / 'runs.db'}"
    port = free_port()
    async with (
        open_server(store, port=port, cwd=tmp_path) as server,
        open_waiting(await server.url()) as (_, run_id, events),
    ):
        await server.kill()
        arguments = ("answer", run_id, "a", "--approve", "--store", store)
        code, out, err = await command(*arguments, cwd=tmp_path)
        assert (code, out) == (0, "")
        assert err.startswith("it is in the run's inbox: ")
        code, out, _ = await command("runs", "--store", store, cwd=tmp_path)
        assert out.split("\t")[2] == "without a worker"
        async with open_server(store, port=port, cwd=tmp_path):
            seen = await rest(events)
            assert answers(seen) == [(True, None)]
            [result] = [each for each in seen if isinstance(each, ToolResult)]
            assert result.tool.output == "sent to Ann"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["b", "--approve"], "no call 'b' waits for an answer"),
        (["a", "--output", "1"], "this call waits for an approval"),
    ],
)
async def test_what_is_no_answer(arguments: list[str], message: str, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'runs.db'}"
    async with open_server(store, cwd=tmp_path) as server:
        url = await server.url()
        async with open_waiting(url) as (_, run_id, _):
            for where in (["--url", url], ["--store", store]):
                told = await command("answer", run_id, *arguments, *where, cwd=tmp_path)
                assert told[:2] == (2, "")
                assert message in told[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["answer", "r", "c", "--approve"],
            "say where the run is: --url of its",
        ),
        (["say", "r", "t"], "say where the run is: --url of its"),
        (["answer", "r", "c"], "one of the arguments --approve --deny --output is required"),
        (["answer", "r", "c", "--deny", "--approve"], "not allowed with"),
        (["answer", "r", "c", "--output", "yes"], "'yes' is not JSON: a text has quotes"),
        (["say", "r", "t", "--store", "sqlite:missing.db"], "missing.db"),
        (["say", "r", "t", "--store", "memory"], "can't be read from outside"),
    ],
)
def test_wrong_usage(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(arguments, capsys)
