"""One call of one tool: validated, bounded by a deadline, and always with an outcome."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

import trio

from .._errors import ToolError
from .._events import ToolRequest
from ._tool import Tool, encode_output

_MAX_ERROR: Final = 10_000
"""Characters of an error that the model is told."""

Outcome: TypeAlias = tuple[Literal["ok", "error", "unknown"], Any]


async def call_tool(
    tools: Mapping[str, Tool[..., Any]],
    call: ToolRequest,
    *,
    deadline: float,
    limiter: trio.CapacityLimiter,
    on_abandoned: Callable[[], None],
) -> Outcome:
    """Run the tool that a call names and return its status and output.

    Whatever the tool raises is an outcome, too: the model is told and may correct itself. A sync
    tool runs in a thread of `limiter`; unless it may be abandoned, its end is waited for even
    when the deadline has passed or the call was cancelled. If its thread is let go,
    `on_abandoned` is called.
    """
    tool = tools.get(call.name)
    if tool is None:
        known = ", ".join(sorted(tools)) or "none"
        return "error", f"there is no tool {call.name!r}; the tools are: {known}"
    seconds = deadline if tool.deadline is None else tool.deadline
    abandoned = False

    def abandon() -> None:
        nonlocal abandoned
        abandoned = True
        on_abandoned()

    try:
        arguments = tool.parse(call.input)
        with trio.move_on_after(seconds) if seconds < math.inf else trio.CancelScope():
            return "ok", encode_output(await _await_tool(tool, arguments, limiter, abandon))
    except ToolError as exc:
        return "error", _readable(str(exc))
    except Exception as exc:
        return "error", _readable(f"{type(exc).__name__}: {exc}")
    except BaseExceptionGroup as group:
        # A tool that fails while it is being cancelled is cancelled.
        _, rest = group.split(Exception)
        assert rest is not None
        raise rest from None
    if abandoned:
        return "unknown", f"nobody waits any more after {seconds:g} s: the outcome is unknown"
    return "error", f"the tool did not finish within {seconds:g} s"


def _readable(text: str) -> str:
    # File names, and so messages, may hold what UTF-8 can't.
    return text[:_MAX_ERROR].encode("utf-8", "backslashreplace").decode()


async def _await_tool(
    tool: Tool[..., Any],
    arguments: dict[str, Any],
    limiter: trio.CapacityLimiter,
    on_abandoned: Callable[[], None],
) -> Any:
    if tool.is_async:
        return await tool.function(**arguments)
    started = False

    def run() -> Any:
        nonlocal started
        started = True
        return tool.function(**arguments)

    try:
        return await trio.to_thread.run_sync(run, abandon_on_cancel=tool.abandon, limiter=limiter)
    except trio.Cancelled:
        # While it waited for a free thread, it did not start.
        if started and tool.abandon:
            on_abandoned()
        raise
