"""The check of whole logs, which many tests rely on: what it lets pass and what it finds."""

import msgspec
import pytest
from log_kit import at_all_levels, check_log, nested

from trio_agent import (
    AnyEvent,
    ErrorDetail,
    Nested,
    RunError,
    RunFinish,
    RunStart,
    RunSummary,
    TextDelta,
    ToolCall,
    ToolName,
    ToolOutcome,
    ToolProgress,
    ToolRequest,
    ToolResult,
    Usage,
)

START = RunStart(at=1, run_id="r", agent="a")
END = RunFinish(at=9, run=RunSummary("r", "", 1, "stop", Usage()))
FAILED = RunError(at=9, error=ErrorDetail("worker-lost", "gone"))
TEXT = TextDelta(at=2, delta="x")


def call(call_id: str) -> ToolCall:
    return ToolCall(at=3, tool=ToolRequest(call_id, "t", {}))


def result(call_id: str) -> ToolResult:
    return ToolResult(at=5, tool=ToolOutcome(call_id, "t", {}, "x", "ok"))


def progress(call_id: str) -> ToolProgress:
    return ToolProgress(at=4, tool=ToolName(call_id, "t"), data=1)


GRANDCHILD = nested("a/b", START, TEXT, call("a/b/c"), result("a/b/c"), END)
CHILD = nested("a", START, call("a/b"), *GRANDCHILD, progress("a/b"), result("a/b"), TEXT, END)

WHOLE: dict[str, list[AnyEvent]] = {
    "text": [START, TEXT, END],
    "died before it had begun": [FAILED],
    "a tool": [START, call("a"), progress("a"), result("a"), END],
    "sub-agents": [START, call("a"), call("z"), *CHILD, result("z"), result("a"), END],
    "a sub-agent that failed": [START, call("a"), *nested("a", START, FAILED), result("a"), END],
    "died within": [START, call("a"), *CHILD[:4], result("a"), FAILED],
}

BROKEN: dict[str, list[AnyEvent]] = {
    "nothing": [],
    "no end": [START, TEXT],
    "two ends": [START, END, END],
    "something behind the end": [START, END, TEXT],
    "no start": [TEXT, END],
    "two starts": [START, START, END],
    "no result": [START, call("a"), END],
    "no call": [START, result("a"), END],
    "two results": [START, call("a"), result("a"), result("a"), END],
    "an id that comes again": [START, call("a"), result("a"), call("a"), result("a"), END],
    "progress behind the result": [START, call("a"), result("a"), progress("a"), END],
    "nested without a call": [START, *nested("a", START), END],
    "nested behind the result": [START, call("a"), result("a"), *nested("a", START), END],
    "no start within": [START, call("a"), *nested("a", TEXT), result("a"), END],
    "only an end within": [START, call("a"), *nested("a", FAILED), result("a"), END],
    "two ends within": [START, call("a"), *nested("a", START, END, END), result("a"), END],
    "an id of its own": [START, call("a"), *nested("a", START, call("b")), result("a"), END],
    "the wrong level": [START, call("a"), *nested("a", START, *GRANDCHILD), result("a"), END],
    "an open call at the end within": [
        *(START, call("a")),
        *nested("a", START, call("a/b"), END),
        *(result("a"), END),
    ],
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_whole(name: str) -> None:
    check_log(WHOLE[name])


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not(name: str) -> None:
    with pytest.raises(AssertionError):
        check_log(BROKEN[name])


def test_what_is_within_can_be_read() -> None:
    [started, *_] = CHILD
    broken = Nested(at=1, call="a", raw=msgspec.Raw(b'{"type":"news","at":1}'))
    with pytest.raises(AssertionError, match="is no event"):
        check_log([START, call("a"), started, broken, result("a"), END])


def test_all_levels() -> None:
    found = list(at_all_levels(CHILD))
    assert [event.tool.id for event in found if isinstance(event, ToolCall)] == ["a/b", "a/b/c"]
