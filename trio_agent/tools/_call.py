"""One call of one tool: validated, bounded by a deadline, and always with an outcome.

Whatever a tool raises, `SystemExit` included and in whatever groups of its nurseries, is the
outcome of its call, and nobody else's trouble: the model reads a sentence, the log has the
traceback. Two things go on: `trio.Cancelled`, and `KeyboardInterrupt`, which is Ctrl-C.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import trio

from .._errors import ToolError
from .._events import ToolRequest
from .._nursery import split_stops
from ._blocking import notice_blocking
from ._threads import ToolThreads
from ._tool import Tool, encode_output

logger = logging.getLogger("trio_agent")

_MAX_ERROR: Final = 10_000
"""Characters of an error that the model is told."""

Outcome: TypeAlias = tuple[Literal["ok", "error", "unknown"], Any]


async def call_tool(
    tools: Mapping[str, Tool[..., Any]],
    call: ToolRequest,
    *,
    run_id: str,
    deadline: float,
    threads: ToolThreads,
    on_abandoned: Callable[[], None],
) -> Outcome:
    """Run the tool that a call names and return its status and output.

    The deadline counts from where the tool starts. A sync tool waits for a thread before that,
    for as long at most. Unless it may be abandoned, its end is waited for even when the deadline
    has passed or the call was cancelled. If its thread is let go, `on_abandoned` is called.

    Args:
        tools: by their names.
        call: what the model wants.
        run_id: for what is logged.
        deadline: in seconds, for tools that have none of their own.
        threads: where sync tools run.
        on_abandoned: see above.
    """
    tool = tools.get(call.name)
    if tool is None:
        known = ", ".join(sorted(tools)) or "none"
        return "error", f"there is no tool {call.name!r}; the tools are: {known}"
    seconds = deadline if tool.deadline is None else tool.deadline
    try:
        arguments = tool.parse(call.input)
        if tool.is_async:
            on_blocking = partial(_tell_blocking, run_id, call)
            with trio.move_on_after(seconds):
                work = notice_blocking(tool.function(**arguments), on_blocking)
                return "ok", encode_output(await work)
            return "error", f"the tool did not finish within {seconds:g} s"
        return await _call_in_thread(tool, arguments, seconds, threads, on_abandoned)
    except BaseException as exc:  # noqa: ASYNC103 - what has to go on is raised again
        stop, failures = split_stops(exc)
        told_by_tool = [_message(each) for each in failures if isinstance(each, ToolError)]
        if len(told_by_tool) < len(failures):
            logger.exception("run %s: tool %s failed in call %r", run_id, call.name, call.id)
        if stop is not None:
            # A tool that fails while it is being cancelled is cancelled.
            raise stop from None  # noqa: ASYNC104
        told = "; ".join(told_by_tool) or _sentence(failures)
        return "error", _readable(told)  # noqa: ASYNC104


async def _call_in_thread(
    tool: Tool[..., Any],
    arguments: dict[str, Any],
    seconds: float,
    threads: ToolThreads,
    on_abandoned: Callable[[], None],
) -> Outcome:
    with trio.move_on_after(seconds) as waiting:
        place = await threads.place()
    if waiting.cancelled_caught:
        return "error", f"no thread was free within {seconds:g} s: the tool was not started"

    def run() -> Any:
        try:
            return tool.function(**arguments)
        except KeyboardInterrupt as exc:
            # No Ctrl-C: that comes to the main thread only.
            raise RuntimeError("the tool raised KeyboardInterrupt") from exc

    try:
        with trio.move_on_after(seconds):
            return "ok", encode_output(await place.run(run, abandon=tool.abandon))
    finally:
        if place.running:
            on_abandoned()
    if place.running:
        return "unknown", f"nobody waits any more after {seconds:g} s: the outcome is unknown"
    return "error", f"the tool did not finish within {seconds:g} s"


def _tell_blocking(run_id: str, call: ToolRequest, seconds: float) -> None:
    logger.warning(
        "run %s: tool %s held up the event loop for %.1f s, so that all runs and streams stood "
        "still: make it a sync function, which runs in a thread, or use trio.to_thread.run_sync",
        run_id,
        call.name,
        seconds,
    )


def _sentence(failures: Sequence[BaseException]) -> str:
    return "; ".join(
        f"{type(failure).__name__}: {_message(failure)}".removesuffix(": ") for failure in failures
    )


def _message(failure: BaseException) -> str:
    try:
        return str(failure)
    except Exception:
        return "its message can't be shown"


def _readable(text: str) -> str:
    # File names, and so messages, may hold what UTF-8 can't.
    return text[:_MAX_ERROR].encode("utf-8", "backslashreplace").decode()
