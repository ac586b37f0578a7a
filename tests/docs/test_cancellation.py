"""docs/cancellation.md"""

from pathlib import Path

import trio
from program_kit import REPOSITORY, run_example

from trio_agent.testing.openai import Answer, finish, pause, text, tool_call

PAGE = (REPOSITORY / "docs" / "cancellation.md").read_text()
SEARCH: Answer = [tool_call("c1", "search", '{"query": "whales"}'), finish("tool_calls")]


def never() -> Answer:
    return [text("Once "), pause(trio.Event())]


async def test_receipt(tmp_path: Path) -> None:
    output = await run_example("cancellation/receipt", [SEARCH], tmp_path)
    assert output == (
        "the search for whales has ended\n"
        "Receipt(outcome='cancelled', last_offset=7, abandoned=())\n"
        "ToolResult\n"
        "RunFinish\n"
        "the reader closed the page\n"
    )
    assert output in PAGE


async def test_leaving(tmp_path: Path) -> None:
    output = await run_example("cancellation/leaving", [SEARCH, never()], tmp_path)
    assert output == (
        "RunStart\nthe search for whales has ended\nthe block was left\ncancelled: True\n"
    )


async def test_scope(tmp_path: Path) -> None:
    output = await run_example("cancellation/scope", [never()], tmp_path)
    assert output == "cancelled: the runtime was cancelled\n"


async def test_deadlines(tmp_path: Path) -> None:
    output = await run_example("cancellation/deadlines", [], tmp_path)
    assert output == (
        "timeout (the run did not finish within 30 s): 'I look. '\n"
        "timeout (a step did not finish within 30 s): 'I look. '\n"
        "stop: 'I look. Nothing.'\n"
    )
    assert output in PAGE


async def test_cleanup(tmp_path: Path) -> None:
    arguments = '{"minutes": 60}'
    script = [[tool_call("c1", "rent_a_machine", arguments), finish("tool_calls")]]
    output = await run_example("cancellation/cleanup", script, tmp_path)
    assert output == "cancelled: too expensive\ngiven back\ncancelled\n"


async def test_threads(tmp_path: Path) -> None:
    output = await run_example("cancellation/threads", [], tmp_path)
    first, *calls = output.splitlines()
    assert first == "cancelled, abandoned: ('c2',)"
    assert sorted(calls) == ["ask_the_oracle: unknown", "convert: cancelled"]


async def test_inside(tmp_path: Path) -> None:
    output = await run_example("cancellation/inside", [], tmp_path)
    assert output == (
        "cancelled: the caller hung up; cancelled before it finished\n"
        "cancelled: the caller hung up; hung up\n"
    )


async def test_waiting(tmp_path: Path) -> None:
    output = await run_example("cancellation/waiting", [], tmp_path)
    assert output == (
        "gave up waiting: True\n"
        "active\n"
        "Receipt(outcome='cancelled', last_offset=8, abandoned=())\n"
        "closing\n"
    )
    assert output in PAGE


async def test_drain(tmp_path: Path) -> None:
    output = await run_example("cancellation/drain", [never()], tmp_path)
    assert output == (
        "the runtime was drained\nthe runtime is draining: it starts no more runs\nTrue\n"
    )
