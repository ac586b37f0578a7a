"""One call of one tool: validated, bounded by a deadline, and always with an outcome.

Whatever a tool raises, `SystemExit` included and in whatever groups of its nurseries, is the
outcome of its call, and nobody else's trouble: the model reads a sentence, which viewers read,
too, so that it says no more than `tell` allows; the log has the traceback. Two things go on:
`trio.Cancelled`, and `KeyboardInterrupt`, which is Ctrl-C.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import trio

from .._content import File
from .._errors import ToolError
from .._events import ToolRequest
from .._nursery import split_stops
from ._blocking import notice_blocking
from ._context import ToolContext
from ._contract import Tool
from ._files import take_files
from ._function import FunctionTool, threads_of
from ._output import encode_output

logger = logging.getLogger("trio_agent")

_MAX_ERROR: Final = 10_000
"""Characters of an error that the model is told."""


class Outcome(NamedTuple):
    """What came of a call."""

    status: Literal["ok", "error", "unknown"]
    output: Any
    """A JSON value."""
    files: tuple[File, ...] = ()


Tell: TypeAlias = Literal["hidden", "type", "message"]
"""What is told of an exception that is no `ToolError`: that the tool failed, by which type of
exception, or its message, too."""


async def call_tool(
    tools: Mapping[str, Tool[Any]],
    call: ToolRequest,
    context: ToolContext[Any],
    *,
    deadline: float,
    tell: Tell = "type",
    on_abandoned: Callable[[], None],
) -> Outcome:
    """Run the tool that a call names and return what came of it.

    The deadline counts from where the tool starts. A sync function waits for a thread before
    that, for as long at most. Unless it may be abandoned, its end is waited for even when the
    deadline has passed or the call was cancelled. If its thread is let go, `on_abandoned` is
    called.

    Args:
        tools: by their names.
        call: what the model wants.
        context: of this call; it has the threads, too.
        deadline: in seconds, for tools that have none of their own.
        tell: see there; the log has the traceback in any case.
        on_abandoned: see above.
    """
    tool = tools.get(call.name)
    if tool is None:
        known = ", ".join(sorted(tools)) or "none"
        return Outcome("error", f"there is no tool {call.name!r}; the tools are: {known}")
    try:
        seconds = deadline if tool.deadline is None else tool.deadline
        if isinstance(tool, FunctionTool) and not tool.is_async:
            return await _call_in_thread(tool, call, context, seconds, on_abandoned)
        with trio.move_on_after(seconds):
            return _returned(await _call_async(tool, call, context))
        return Outcome("error", f"the tool did not finish within {seconds:g} s")
    except BaseException as exc:  # noqa: ASYNC103 - what has to go on is raised again
        stop, failures = split_stops(exc)
        told_by_tool = [_message(each) for each in failures if isinstance(each, ToolError)]
        if len(told_by_tool) < len(failures):
            logger.exception(
                "run %s: tool %s failed in call %r", context.run_id, call.name, call.id
            )
        if stop is not None:
            # A tool that fails while it is being cancelled is cancelled.
            raise stop from None  # noqa: ASYNC104
        told = "; ".join(told_by_tool) or _sentence(failures, tell)
        return Outcome("error", _readable(told))  # noqa: ASYNC104


def _returned(value: object) -> Outcome:
    rest, files = take_files(value)
    return Outcome("ok", encode_output(rest), files)


async def _call_async(tool: Tool[Any], call: ToolRequest, context: ToolContext[Any]) -> Any:
    if not isinstance(tool, FunctionTool):
        return await tool.call(call.input, context)
    work = tool.bind(call.input, context)
    return await notice_blocking(work(), partial(_tell_blocking, context.run_id, call))


async def _call_in_thread(
    tool: FunctionTool[..., Any, Any],
    call: ToolRequest,
    context: ToolContext[Any],
    seconds: float,
    on_abandoned: Callable[[], None],
) -> Outcome:
    work = tool.bind(call.input, context)
    with trio.move_on_after(seconds) as waiting:
        place = await threads_of(context).place()
    if waiting.cancelled_caught:
        why = f"no thread was free within {seconds:g} s: the tool was not started"
        return Outcome("error", why)

    def run() -> Any:
        try:
            return work()
        except KeyboardInterrupt as exc:
            # No Ctrl-C: that comes to the main thread only.
            raise RuntimeError("the tool raised KeyboardInterrupt") from exc

    try:
        with trio.move_on_after(seconds):
            return _returned(await place.run(run, abandon=tool.abandon))
    finally:
        if place.running:
            on_abandoned()
    if place.running:
        why = f"nobody waits any more after {seconds:g} s: the outcome is unknown"
        return Outcome("unknown", why)
    return Outcome("error", f"the tool did not finish within {seconds:g} s")


def _tell_blocking(run_id: str, call: ToolRequest, seconds: float) -> None:
    logger.warning(
        "run %s: tool %s held up the event loop for %.1f s, so that all runs and streams stood "
        "still: make it a sync function, which runs in a thread, or use trio.to_thread.run_sync",
        run_id,
        call.name,
        seconds,
    )


def _sentence(failures: Sequence[BaseException], tell: Tell) -> str:
    match tell:
        case "hidden":
            return "the tool failed"
        case "type":
            return f"the tool failed ({', '.join(type(failure).__name__ for failure in failures)})"
        case "message":
            return "; ".join(
                f"{type(failure).__name__}: {_message(failure)}".removesuffix(": ")
                for failure in failures
            )


def _message(failure: BaseException) -> str:
    try:
        return str(failure)
    except Exception:
        return "its message can't be shown"


def _readable(text: str) -> str:
    # File names, and so messages, may hold what UTF-8 can't.
    return text[:_MAX_ERROR].encode("utf-8", "backslashreplace").decode()
