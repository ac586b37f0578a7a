"""Logs for the page that no model of a test writes: as server-sent events of one run."""

import itertools
from collections.abc import Iterable
from typing import Any, Final

import msgspec

FIRST: Final = 1_700_000_000_000

Event = dict[str, Any]


def event(kind: str, /, **fields: Any) -> Event:
    return {"type": kind, "at": 0, **fields}


def within(call: str, *events: Event) -> list[Event]:
    """What the sub-agent in a call does."""
    return [event("nested", call=call, event=each) for each in events]


def started(agent: str) -> Event:
    return event("run-start", runId="r", agent=agent, schema=2)


def delta(text: str, kind: str = "text-delta") -> Event:
    return event(kind, delta=text)


def step(number: int = 1) -> Event:
    return event("step-start", stepNumber=number)


def called(call: str, tool: str, **arguments: Any) -> Event:
    return event("tool-call", tool={"id": call, "name": tool, "input": arguments})


def asked(call: str, tool: str, kind: str, /, **arguments: Any) -> list[Event]:
    """A call for which somebody is asked."""
    named = {"id": call, "name": tool, "input": arguments}
    request = event("tool-request", tool=named, kind=kind, deadline=FIRST + 86_400_000)
    return [event("tool-call", tool=named, wants=kind), request]


def answered(call: str, tool: str, approved: bool, **who: Any) -> Event:
    return event("tool-answer", tool={"id": call, "name": tool}, approved=approved, **who)


def result(call: str, tool: str, output: Any, status: str = "ok", **more: Any) -> Event:
    outcome = {"id": call, "name": tool, "input": {}, "output": output, "status": status}
    return event("tool-result", tool=outcome, **more)


def progress(call: str, tool: str, data: Any) -> Event:
    return event("tool-progress", tool={"id": call, "name": tool}, data=data)


def finished(reason: str = "stop", /, **fields: Any) -> Event:
    usage = {"inputTokens": 9, "outputTokens": 9, "totalTokens": 18}
    run = {"id": "r", "text": "", "steps": 1, "finishReason": reason, "usage": usage, **fields}
    return event("run-finish", run=run)


def agents(depth: int, *innermost: Event) -> list[Event]:
    """Sub-agents in sub-agents, of which the last does this."""
    events = list(innermost)
    for level in range(depth, 0, -1):
        call = "/".join("c" for _ in range(level))
        name = f"agent{level}"
        inner = within(call, started(name), *events, finished())
        events = [called(call, "ask", prompt=f"level {level}"), *inner, result(call, "ask", "done")]
    return events


def stream(run_id: str, events: Iterable[Event], first: int = 1) -> bytes:
    """Encode events as the server does, from the offset of the first one: one every 10 ms."""
    lines = []
    for offset, each in zip(itertools.count(first), events):
        data = _at(each, FIRST + 10 * offset)
        lines.append(f"id: {run_id}.e.{offset}\ndata: {msgspec.json.encode(data).decode()}\n\n")
    return "".join(lines).encode()


def _at(each: Event, at: int) -> Event:
    inner = {"event": _at(each["event"], at)} if each["type"] == "nested" else {}
    return {**each, "at": at, **inner}
