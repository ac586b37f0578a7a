import asyncio
import logging
import math
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing

from trio_agent._content import File
from trio_agent._errors import ToolError
from trio_agent._events import ToolRequest
from trio_agent.tools._call import Tell, call_tool
from trio_agent.tools._context import ToolContext
from trio_agent.tools._contract import Tool
from trio_agent.tools._threads import ToolThreads
from trio_agent.tools._tool import tool

Told: TypeAlias = tuple[str, Any]
"""A status and an output."""


def nothing_is_abandoned() -> None:
    pytest.fail("a thread was let go")


async def call(function: Any, *, deadline: float = math.inf, **arguments: Any) -> Told:
    made = tool(function)
    return await call_made(made, deadline=deadline, **arguments)


async def call_made(
    made: Any,
    *,
    deadline: float = math.inf,
    on_abandoned: Callable[[], None] = nothing_is_abandoned,
    threads: ToolThreads | None = None,
    tell: Tell = "message",
    **arguments: Any,
) -> Told:
    outcome = await call_tool(
        {made.name: made},
        ToolRequest("1", made.name, arguments),
        ToolContext(run_id="r", deps="shop", threads=threads),
        deadline=deadline,
        tell=tell,
        on_abandoned=on_abandoned,
    )
    assert outcome.files == ()
    return outcome[:2]


async def test_async_and_sync() -> None:
    async def double(n: int) -> int:
        await trio.lowlevel.checkpoint()
        return 2 * n

    def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert await call(double, n=2) == ("ok", 4)
    assert await call(where) == ("ok", False)


async def test_an_unknown_tool_is_told_what_there_is() -> None:
    async def call_nope(tools: Mapping[str, Any]) -> Told:
        outcome = await call_tool(
            tools,
            ToolRequest("1", "nope", {}),
            ToolContext(run_id="r"),
            deadline=1,
            on_abandoned=nothing_is_abandoned,
        )
        return outcome[:2]

    assert await call_nope({}) == ("error", "there is no tool 'nope'; the tools are: none")

    def add() -> None: ...

    made = tool(add)
    _, output = await call_nope({"b": made, "a": made})
    assert output == "there is no tool 'nope'; the tools are: a, b"


async def test_arguments_that_do_not_fit() -> None:
    def double(n: int) -> int:
        return 2 * n

    status, output = await call(double, n="x")
    assert status == "error"
    assert "Expected `int`, got `str`" in output


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("how", ["async", "sync", "in a nursery", "in a nursery's task"])
@pytest.mark.parametrize(
    ("failures", "told", "logged"),
    [
        ([ToolError("try another city")], "try another city", False),
        ([KeyError("x")], "KeyError: 'x'", True),
        ([SystemExit(2)], "SystemExit: 2", True),
        ([asyncio.CancelledError()], "CancelledError", True),
        ([Unspeakable()], "Unspeakable: its message can't be shown", True),
        ([ToolError("not today"), KeyError("x")], "not today", True),
        ([ToolError("no a"), ToolError("no b")], "no a; no b", False),
        ([KeyError("x"), ValueError("y")], "KeyError: 'x'; ValueError: y", True),
    ],
    ids=str,
)
async def test_whatever_a_tool_raises_is_told(
    how: str,
    failures: list[BaseException],
    told: str,
    logged: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The model reads what is meant for it; the log has the traceback of what nobody meant."""
    failure = failures[0] if len(failures) == 1 else BaseExceptionGroup("g", failures)

    def fail(secret: str = "") -> None:
        raise failure

    async def fail_async(secret: str = "") -> None:
        match how:
            case "async":
                raise failure
            case "in a nursery":
                async with trio.open_nursery():
                    raise failure
            case _:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(fail_async_deep)
                    nursery.start_soon(trio.sleep_forever)

    async def fail_async_deep() -> None:
        async with trio.open_nursery():
            raise failure

    function = fail if how == "sync" else fail_async
    assert await call(function, secret="s3cret") == ("error", told)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    if logged:
        [record] = errors
        assert record.getMessage() == f"run r: tool {function.__name__} failed in call '1'"
        assert "in fail" in caplog.text
        assert "s3cret" not in caplog.text
    else:
        assert not errors


@pytest.mark.parametrize(
    ("tell", "failures", "told"),
    [
        ("type", [ValueError("s3cret")], "the tool failed (ValueError)"),
        ("type", [KeyError("x"), ValueError("y")], "the tool failed (KeyError, ValueError)"),
        ("hidden", [ValueError("s3cret")], "the tool failed"),
        ("hidden", [KeyError("x"), ValueError("y")], "the tool failed"),
        ("message", [ValueError("s3cret")], "ValueError: s3cret"),
        ("hidden", [ToolError("try later"), ValueError("s3cret")], "try later"),
        ("type", [ToolError("try later")], "try later"),
    ],
)
async def test_how_much_is_told(
    tell: Tell, failures: list[Exception], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the whole of it, whatever is told."""
    failure = failures[0] if len(failures) == 1 else ExceptionGroup("g", failures)

    def fail() -> None:
        raise failure

    assert await call_made(tool(fail), tell=tell) == ("error", told)
    for each in failures:
        if not isinstance(each, ToolError):
            assert str(each) in caplog.text


async def test_a_context_comes_to_sync_and_async_functions() -> None:
    def sell(context: ToolContext[str], n: int) -> list[Any]:
        return [context.deps, n]

    async def buy(context: ToolContext[str], n: int) -> list[Any]:
        await trio.lowlevel.checkpoint()
        return [context.run_id, n]

    assert await call(sell, n=1) == ("ok", ["shop", 1])
    assert await call(buy, n=2) == ("ok", ["r", 2])


class Remote(Tool[object]):
    """A tool that is no function."""

    name = "remote"
    description = ""
    schema: Mapping[str, Any] = {}

    def __init__(self, work: Callable[[], Awaitable[Any]], deadline: float | None = None) -> None:
        self._work = work
        self._deadline = deadline
        self.asked: list[Any] = []

    @property
    def deadline(self) -> float | None:
        return self._deadline

    async def call(self, arguments: Any, context: ToolContext[object]) -> Any:
        self.asked.append((arguments, context.deps))
        return await self._work()


async def test_any_tool_is_called(autojump_clock: trio.testing.MockClock) -> None:
    async def answer() -> set[str]:
        await trio.lowlevel.checkpoint()
        return {"a"}

    async def fail() -> None:
        async with trio.open_nursery():
            raise ToolError("not now")

    async def break_down() -> None:
        raise OSError("s3cret")

    remote = Remote(answer)
    assert await call_made(remote, x=1) == ("ok", ["a"])
    assert remote.asked == [({"x": 1}, "shop")]
    assert await call_made(Remote(fail)) == ("error", "not now")
    assert await call_made(Remote(break_down), tell="type") == (
        "error",
        "the tool failed (OSError)",
    )
    begin = trio.current_time()
    forever = Remote(trio.sleep_forever, deadline=3)
    told = "error", "the tool did not finish within 3 s"
    assert await call_made(forever) == told
    assert await call_made(Remote(trio.sleep_forever), deadline=3) == told
    assert trio.current_time() - begin == 6


async def test_a_thread_gets_no_ctrl_c() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    def silent() -> None:
        raise MemoryError

    told = "RuntimeError: the tool raised KeyboardInterrupt"
    assert await call(interrupted) == ("error", told)
    assert await call(silent) == ("error", "MemoryError")


async def test_an_error_is_text_that_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is logged has the name as it is, which the reports of tests could not send, either.
    monkeypatch.setattr(logging.getLogger("trio_agent"), "disabled", True)

    def missing() -> None:
        raise FileNotFoundError("a\udcffb")

    def long() -> None:
        raise ToolError("x" * 100_000)

    assert await call(missing) == ("error", "FileNotFoundError: a\\udcffb")
    _, output = await call(long)
    assert len(output) == 10_000


async def test_an_output_without_json() -> None:
    def thing() -> object:
        return object()

    status, output = await call(thing)
    assert status == "error"
    assert "no JSON form" in output


async def test_a_deadline(autojump_clock: trio.testing.MockClock) -> None:
    async def forever() -> None:
        await trio.sleep_forever()

    expected = "error", "the tool did not finish within 3 s"
    begin = trio.current_time()
    assert await call(forever, deadline=3) == expected
    assert await call_made(tool(forever, deadline=3), deadline=1) == expected
    assert trio.current_time() - begin == 6


async def test_a_tool_that_fails_at_its_deadline(autojump_clock: trio.testing.MockClock) -> None:
    async def forever() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("x")

    async def in_a_nursery() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forever)
            nursery.start_soon(trio.sleep_forever)

    assert await call(forever, deadline=3) == ("error", "KeyError: 'x'")
    status, _ = await call(in_a_nursery, deadline=3)
    assert status == "error"


async def test_a_sync_tool_is_waited_for() -> None:
    """The thread ends because it is told to, after its call was cancelled."""
    started, go_on = trio.Event(), threading.Event()

    def slow() -> str:
        trio.from_thread.run_sync(started.set)
        go_on.wait()
        return "late"

    outcomes: list[Told] = []

    async def run(scope: trio.CancelScope) -> None:
        with scope:
            outcomes.append(await call(slow))

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, scope)
        await started.wait()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert outcomes == []
        go_on.set()
    assert outcomes == [("ok", "late")]


async def test_a_sync_tool_can_ask_whether_it_is_cancelled() -> None:
    started = trio.Event()

    def slow() -> None:
        trio.from_thread.run_sync(started.set)
        while True:
            trio.from_thread.check_cancelled()
            time.sleep(0.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, slow)
        await started.wait()
        nursery.cancel_scope.cancel()


async def test_an_abandoned_tool_is_let_go_at_its_deadline() -> None:
    go_on, gone = threading.Event(), threading.Event()

    def slow() -> None:
        go_on.wait()
        gone.set()

    abandoned: list[str] = []
    try:
        made = tool(slow, abandon=True, deadline=0.01)
        status, output = await call_made(made, on_abandoned=lambda: abandoned.append("1"))
        assert (status, abandoned) == ("unknown", ["1"])
        assert output == "nobody waits any more after 0.01 s: the outcome is unknown"
        assert not gone.is_set()
    finally:
        go_on.set()
    await trio.to_thread.run_sync(gone.wait)


async def test_an_abandoned_tool_is_let_go_when_it_is_cancelled() -> None:
    started, go_on, gone = trio.Event(), threading.Event(), threading.Event()
    abandoned: list[str] = []

    def slow() -> None:
        trio.from_thread.run_sync(started.set)
        go_on.wait()
        gone.set()

    async def run() -> None:
        made = tool(slow, abandon=True)
        await call_made(made, on_abandoned=lambda: abandoned.append("1"))

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await started.wait()
            nursery.cancel_scope.cancel()
        assert (abandoned, gone.is_set()) == (["1"], False)
    finally:
        go_on.set()
    await trio.to_thread.run_sync(gone.wait)


async def test_a_tool_that_waits_for_a_thread_is_not_abandoned(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It never started: its outcome is known, at its deadline and when it is cancelled."""
    threads = ToolThreads(1)
    place = await threads.place()
    made = tool(nothing_is_abandoned, name="late", abandon=True, deadline=3)
    outcome = await call_made(made, threads=threads)
    assert outcome == ("error", "no thread was free within 3 s: the tool was not started")
    with trio.move_on_after(1) as scope:
        await call_made(made, threads=threads)
    assert scope.cancelled_caught
    threads.give_back(place)


async def test_waiting_for_a_thread_takes_nothing_from_the_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    autojump_clock.autojump_threshold = 0.01
    threads = ToolThreads(1)
    place = await threads.place()
    outcomes: list[Told] = []

    async def run() -> None:
        outcomes.append(
            await call_made(tool(lambda: left(), name="late", deadline=3), threads=threads)
        )

    def left() -> float:
        return trio.from_thread.run_sync(trio.current_effective_deadline)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(2.5)
        threads.give_back(place)
        given_back = trio.current_time()
    [(status, deadline)] = outcomes
    assert status == "ok"
    assert deadline - given_back == pytest.approx(3)


@pytest.mark.parametrize("abandon", [False, True])
async def test_a_tool_that_hangs_does_not_hold_up_the_others(abandon: bool) -> None:
    """When its deadline has passed, its place is for another one."""
    go_on = threading.Event()
    threads = ToolThreads(1)
    outcomes: list[Told] = []

    async def hang() -> None:
        made = tool(go_on.wait, name="hang", deadline=0.01, abandon=abandon)
        outcomes.append(await call_made(made, threads=threads, on_abandoned=lambda: None))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hang)
        await trio.testing.wait_all_tasks_blocked()
        try:
            assert await call_made(tool(lambda: 1, name="one"), threads=threads) == ("ok", 1)
        finally:
            go_on.set()
    assert [status for status, _ in outcomes] == ["unknown" if abandon else "ok"]


async def test_a_tool_that_blocks_the_loop_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trio_agent.tools._blocking.LONGEST_STEP", 0.01)

    async def crunch() -> int:
        await trio.lowlevel.checkpoint()
        time.sleep(0.02)  # noqa: ASYNC251 - what it should not do
        return 1

    assert await call(crunch) == ("ok", 1)
    [record] = caplog.records
    assert re.match(r"run r: tool crunch held up the event loop for \d+\.\d s", record.getMessage())
    assert record.levelname == "WARNING"


@pytest.mark.parametrize("also", [ValueError, KeyboardInterrupt])
async def test_a_cancelled_tool_that_fails_is_cancelled(also: type[BaseException]) -> None:
    """But an interrupt is nobody's to swallow."""

    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise also

    async def in_a_nursery() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(trio.sleep_forever)

    async def run() -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call, in_a_nursery)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()

    if also is ValueError:
        await run()
    else:
        with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
            await run()


PNG = File("image/png", data=b"a")


async def draw() -> list[str | File]:
    return ["drawn", PNG]


def draw_in_a_thread() -> File:
    return PNG


def draw_too_much() -> list[File]:
    return [PNG] * 2000


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (draw, ("ok", "drawn", (PNG,))),
        (draw_in_a_thread, ("ok", "image/png", (PNG,))),
        (draw_too_much, ("error", "the tool returned 2000 files, 100 are allowed", ())),
    ],
)
async def test_files_are_no_part_of_the_output(function: Any, expected: object) -> None:
    made = tool(function, description="Draw.")
    outcome = await call_tool(
        {made.name: made},
        ToolRequest("1", made.name, {}),
        ToolContext(run_id="r"),
        deadline=math.inf,
        on_abandoned=nothing_is_abandoned,
    )
    assert outcome == expected
