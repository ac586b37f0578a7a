"""Sessions: calls, progress, cancellation, and what servers do to break them.

Each way to a server is tried: processes and HTTP, the protocols of 2025 and 2026.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

pytest.importorskip("mcp", reason="pip install 'trio-agent[mcp]'")

from mcp_kit import PATIENCE, Progress, call, raw, refusal, sdk, serving, tools_of

from trio_agent import File, ToolError
from trio_agent.tools._context import ToolContext
from trio_agent.tools._source import OpenTools
from trio_agent.tools.mcp import MCPServer


@asynccontextmanager
async def opened(way: str) -> AsyncIterator[OpenTools]:
    with trio.fail_after(PATIENCE):
        if way == "stdio":
            async with sdk().open() as tools:
                yield tools
        else:
            arguments = ["json"] if way == "http, JSON" else []
            async with serving(*arguments) as server, MCPServer.http(server.url).open() as tools:
                yield tools


ways = pytest.mark.parametrize("way", ["stdio", "http"])


OUTPUTS: list[tuple[str, dict[str, Any], Any]] = [
    ("add", {"a": 1, "b": 2}, {"result": 3}),
    ("shout", {"text": "ä"}, "Ä"),
    ("big", {"size": 3_000_000}, "x" * 3_000_000),
    ("picture", {}, [File("image/png", data=b"0123456789")]),
    ("letter", {}, "here:\nDear Ann"),
]


@pytest.mark.parametrize("way", ["stdio", "http", "http, JSON"])
async def test_outputs(way: str) -> None:
    async with opened(way) as tools:
        for name, arguments, output in OUTPUTS:
            assert await call(tools, name, **arguments) == output, name


@ways
async def test_errors_are_the_servers_words(way: str) -> None:
    async with opened(way) as tools:
        assert await refusal(tools, "fail", why="no tea") == "Error executing tool fail: no tea"
        assert "a" in await refusal(tools, "add", a="one")
        assert (
            await refusal(tools, "fail", why="x" * 20_000)
            == ("Error executing tool fail: " + "x" * 20_000)[:10_000]
        )


@ways
async def test_progress_comes_in_order(way: str) -> None:
    async with opened(way) as tools:
        progress = Progress()
        count = (await tools_of(tools))["count"]
        assert await count.call({"upto": 200}, progress.context) == "counted"
    assert progress.told == [
        {"progress": n, "total": 200, "message": f"at {n}"} for n in range(1, 201)
    ]


@ways
async def test_a_cancel_reaches_the_server(way: str) -> None:
    async with opened(way) as tools:
        by_name = await tools_of(tools)
        progress = Progress()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(by_name["wait"].call, {"mark": "m"}, progress.context)
            await progress.begun.wait()
            nursery.cancel_scope.cancel()
        assert await call(tools, "was_cancelled", mark="m") == "yes"


@ways
async def test_a_deadline_reaches_the_server(way: str) -> None:
    async with opened(way) as tools:
        by_name = await tools_of(tools)
        progress = Progress()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(by_name["wait"].call, {"mark": "m"}, progress.context)
                await progress.begun.wait()
                scope.deadline = trio.current_time()
        assert await call(tools, "was_cancelled", mark="m") == "yes"


@ways
async def test_many_calls_side_by_side(way: str) -> None:
    """20 runs with 10 calls each: some return, some fail, some are cancelled, by deadlines too."""
    outcomes: dict[str, int] = {"ok": 0, "error": 0, "cancelled": 0}

    async def one(by_name, run: int, number: int) -> None:
        kind = number % 5
        if kind in (0, 1):
            output = await by_name["add"].call({"a": run, "b": number}, ToolContext())
            assert output == {"result": run + number}
            outcomes["ok"] += 1
        elif kind == 2:
            with pytest.raises(ToolError, match=f"no {run}-{number}$"):
                await by_name["fail"].call({"why": f"no {run}-{number}"}, ToolContext())
            outcomes["error"] += 1
        elif kind == 3:
            progress = Progress()
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    mark = {"mark": f"{run}-{number}"}
                    nursery.start_soon(by_name["wait"].call, mark, progress.context)
                    await progress.begun.wait()
                    scope.cancel()
            outcomes["cancelled"] += 1
        else:
            # Wherever it is just then.
            with trio.move_on_after(0.001 * run):
                await by_name["wait"].call({"mark": f"{run}-{number}"}, ToolContext())
            outcomes["cancelled"] += 1

    async def run_of(number: int) -> None:
        by_name = await tools_of(tools)
        async with trio.open_nursery() as nursery:
            for each in range(10):
                nursery.start_soon(one, by_name, number, each)

    async with opened(way) as tools:
        async with trio.open_nursery() as nursery:
            for each in range(20):
                nursery.start_soon(run_of, each)
        assert outcomes == {"ok": 80, "error": 40, "cancelled": 80}
        assert await call(tools, "add", a=1, b=1) == {"result": 2}


@ways
async def test_killed_in_the_middle_of_calls(way: str) -> None:
    errors: list[str] = []

    async def open_call(tool, progress: Progress) -> None:
        with pytest.raises(ToolError) as caught:
            await tool.call({"mark": "m"}, progress.context)
        errors.append(str(caught.value))

    async with opened(way) as tools:
        by_name = await tools_of(tools)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                progress = Progress()
                nursery.start_soon(open_call, by_name["wait"], progress)
                await progress.begun.wait()
            progress = Progress()
            with pytest.raises(ToolError):
                await by_name["die"].call({}, progress.context)
        with pytest.raises(ToolError) as later:
            await by_name["add"].call({"a": 1, "b": 2}, ToolContext())
    assert len(errors) == 3
    name = "python" if way == "stdio" else "127.0.0.1"
    if way == "stdio":
        gone = str(later.value)
        assert gone.endswith("is gone: its process ended with status 3")
        assert set(errors) == {f"{gone}; whether it has done what it was asked for is unknown"}
    else:
        assert name in errors[0]
        assert "can't be reached" in str(later.value)


async def test_refuses_what_the_server_asks_for() -> None:
    async with opened("stdio") as tools:
        assert "elicitation" in await refusal(tools, "ask")


@pytest.mark.parametrize("loud", [[], ["loud"]])
async def test_a_server_that_never_answers_a_call(loud: list[str]) -> None:
    with trio.fail_after(PATIENCE):
        async with raw(*loud).open() as tools:
            by_name = await tools_of(tools)
            progress = Progress()
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(by_name["silent"].call, {}, progress.context)
                    await progress.begun.wait()
                    scope.deadline = trio.current_time()
            assert scope.cancelled_caught
            assert await call(tools, "echo", say="still here") == '"still here"'


async def test_an_answer_that_is_none() -> None:
    with trio.fail_after(PATIENCE):
        async with raw().open() as tools:
            told = await refusal(tools, "bad_result")
            assert "failed (ValidationError)" in told


async def test_notifications_that_make_no_sense() -> None:
    """None of them may end the connection."""
    odd = [
        ["notifications/progress", {"progress": True}],
        ["notifications/progress", {"progress": "x", "message": {"a": 1}}],
        ["notifications/progress", {"progress": 1e999}],
        ["notifications/progress", {}],
        ["notifications/tools/list_changed", {"_meta": 3}],
        ["notifications/no-such", {}],
        ["notifications/cancelled", {"requestId": [1]}],
    ]
    with trio.fail_after(PATIENCE):
        async with raw().open() as tools:
            by_name = await tools_of(tools)
            progress = Progress()
            output = await by_name["echo"].call(
                {"notifications": odd, "say": "x"}, progress.context
            )
            assert output == '"x"'
            assert progress.told == [{"progress": True}, {}, {}]
