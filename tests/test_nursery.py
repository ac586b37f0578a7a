import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
import trio.testing

from trio_agent import Agent, ResumableStreamManager, SQLiteStore, open_runtime
from trio_agent._nursery import open_plain_nursery, split_stops
from trio_agent.client import open_client
from trio_agent.testing import ScriptedModel


async def test_leaving_waits_for_the_tasks() -> None:
    done = trio.Event()

    async def task() -> None:
        await trio.testing.wait_all_tasks_blocked()
        done.set()

    async with open_plain_nursery() as nursery:
        nursery.start_soon(task)
    assert done.is_set()


async def test_the_bodys_exception_is_plain_and_cancels() -> None:
    failure = KeyError("x")
    cancelled = trio.Event()

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    with pytest.raises(KeyError) as caught:  # noqa: PT012
        async with open_plain_nursery() as nursery:
            nursery.start_soon(task)
            await trio.testing.wait_all_tasks_blocked()
            raise failure
    assert caught.value is failure
    assert cancelled.is_set()


async def test_a_task_that_fails_is_grouped() -> None:
    async def task() -> None:
        raise KeyError("x")

    with pytest.RaisesGroup(KeyError):
        async with open_plain_nursery() as nursery:
            nursery.start_soon(task)
            await trio.sleep_forever()


async def test_both_fail() -> None:
    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("y")

    with pytest.RaisesGroup(KeyError, pytest.RaisesGroup(ValueError)):
        async with open_plain_nursery() as nursery:
            nursery.start_soon(task)
            await trio.testing.wait_all_tasks_blocked()
            raise KeyError("x")


async def test_cancelled_is_not_swallowed() -> None:
    with trio.CancelScope() as scope:
        async with open_plain_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("where", ["body", "task", "inner nursery", "both"])
async def test_what_ends_the_program_comes_out_as_it_is(stop: BaseException, where: str) -> None:
    """And nothing is told of what it cancelled."""
    stop.__context__ = None

    async def task() -> None:
        await trio.testing.wait_all_tasks_blocked()
        raise stop

    async def deep() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(task)

    async def at_the_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise type(stop)

    with pytest.raises(type(stop)) as caught:  # noqa: PT012
        async with open_plain_nursery() as outer, open_plain_nursery() as nursery:
            outer.start_soon(trio.sleep_forever)
            match where:
                case "task":
                    nursery.start_soon(task)
                case "inner nursery":
                    nursery.start_soon(deep)
                case "both":
                    nursery.start_soon(at_the_end)
            await trio.testing.wait_all_tasks_blocked(0.001)
            if where in ("body", "both"):
                raise stop
            await trio.sleep_forever()
    assert caught.value is stop
    assert stop.__context__ is None
    assert not stop.__suppress_context__


async def test_an_interrupt_comes_before_an_exit_and_tells_what_failed_besides() -> None:
    async def task(failure: BaseException) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise failure

    interrupt, failure = KeyboardInterrupt(), KeyError("x")
    with pytest.raises(KeyboardInterrupt) as caught:  # noqa: PT012
        async with open_plain_nursery() as nursery:
            nursery.start_soon(task, interrupt)
            nursery.start_soon(task, failure)
            await trio.testing.wait_all_tasks_blocked()
            raise SystemExit
    assert caught.value is interrupt
    others = interrupt.__context__
    assert isinstance(others, BaseExceptionGroup)
    assert {type(other) for other in others.exceptions} == {SystemExit, KeyError}


async def test_the_bodys_failure_is_plain_even_while_it_is_cancelled() -> None:
    with trio.CancelScope() as scope:
        with pytest.raises(KeyError, match="x"):  # noqa: PT012
            async with open_plain_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
                raise KeyError("x")
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


PROGRAM = """
import os, signal, sys
import trio
from trio_agent import Agent, open_runtime, tool
from trio_agent.testing import ScriptedModel, call

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

@tool
async def work():
    interrupt()

async def stream():
    async with Agent(model=ScriptedModel(["a", 1000.0])).stream("hi") as chunks:
        async for _ in chunks:
            trio.lowlevel.current_trio_token().run_sync_soon(interrupt)

async def in_a_tool():
    await Agent(model=ScriptedModel([call("1", "work")]), tools=[work]).run("hi")

async def at_the_end():
    async with open_runtime() as runtime:
        await runtime.start(Agent(model=ScriptedModel([1000.0])), "hi")
        trio.lowlevel.current_trio_token().run_sync_soon(interrupt)

async def over_many():
    async with open_runtime() as runtime:
        async with runtime.map(Agent(model=ScriptedModel([], [1000.0])), "ab") as results:
            async for _ in results:
                interrupt()

trio.run(globals()[sys.argv[1]])
"""


@pytest.mark.parametrize("where", ["stream", "in_a_tool", "at_the_end", "over_many"])
def test_ctrl_c(where: str) -> None:
    """The program ends by the signal, and the traceback is about where it was."""
    command = [sys.executable, "-c", PROGRAM, where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGINT, done.stderr
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert "Group" not in done.stderr
    assert "During handling" not in done.stderr


async def enter(context: AbstractAsyncContextManager[object]) -> None:
    async with context:
        pytest.fail("it was opened")


async def create_stream() -> None:
    ResumableStreamManager().create_stream()


AGENT = Agent(model=ScriptedModel())


@pytest.mark.parametrize(
    "use",
    [
        lambda: enter(open_plain_nursery()),
        lambda: enter(open_runtime()),
        lambda: enter(open_runtime(store=SQLiteStore("never.db"))),
        lambda: enter(AGENT.stream("hi")),
        lambda: enter(AGENT.stream_events("hi")),
        lambda: AGENT.run("hi"),
        lambda: enter(open_client("http://127.0.0.1:1")),
        lambda: enter(open_client("ws://127.0.0.1:1")),
        create_stream,
    ],
)
def test_outside_of_trio(use: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Each door says what this house stands on."""
    with pytest.raises(RuntimeError, match=r"trio_agent runs on Trio: .* with trio.run\(main\)"):
        asyncio.run(use())


LEAF, OTHER = ValueError("a"), KeyError("b")
STOP = KeyboardInterrupt()


@pytest.mark.parametrize(
    ("exc", "stops", "failures"),
    [
        (LEAF, None, [LEAF]),
        (STOP, STOP, []),
        (SystemExit(1), None, [SystemExit]),
        (ExceptionGroup("g", [LEAF, ExceptionGroup("h", [OTHER])]), None, [LEAF, OTHER]),
        (BaseExceptionGroup("g", [LEAF, STOP]), [STOP], [LEAF]),
        (BaseExceptionGroup("g", [STOP]), [STOP], []),
    ],
)
def test_split_stops(exc: BaseException, stops: object, failures: list[object]) -> None:
    stop, failed = split_stops(exc)
    assert (list(stop.exceptions) if isinstance(stop, BaseExceptionGroup) else stop) == stops
    assert [type(each) if type(each) is SystemExit else each for each in failed] == failures
