"""Machines that are somewhere in a run, and logs that machines are rebuilt from."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from trio_agent._events import AnyEvent, ModelFinished, Nested, RunContinued, Usage
from trio_agent._log.codec import decode_event, encode_event
from trio_agent._log.plain import encode_json
from trio_agent._messages import UserMessage
from trio_agent._run.kept import decode_kept, wanted_back
from trio_agent._run.machine import Machine
from trio_agent._run.states import Expected, State
from trio_agent.models._parts import ModelFinish, OutputPart, ToolInputPart

HI = UserMessage("hi")


def machine(*, max_steps: int = 10, **settings: Any) -> Machine:
    return Machine("r", "a", [HI], max_steps=max_steps, **settings)


def asked(**settings: Any) -> Machine:
    """Its model speaks; its step began at offset 2."""
    made = machine(**settings)
    made.started(1)
    made.asked(2, 2)
    return made


def calling(
    wants: Mapping[str, str | None], *, deadline: int | None = None, **settings: Any
) -> Machine:
    """Its model has called the tool `t` by these ids; and what they wait for, if they do."""
    made = asked(**settings)
    made.said([ToolInputPart(call_id, "t", '{"n":1}') for call_id in wants], 3)
    finish = ModelFinish("tool-calls", Usage(1, 2, 3))
    made.answered(finish, 4, wants=lambda call: wants[call.id], deadline=deadline)
    return made


def acting(*ids: str, **settings: Any) -> Machine:
    return calling(dict.fromkeys(ids), **settings)


def checking(text: str, *ids: str, retries: int = 1, **settings: Any) -> Machine:
    """The answer is this text, beside calls with these ids."""
    made = asked(output=Expected(retries=retries), **settings)
    calls = [ToolInputPart(call_id, "t", "{}") for call_id in ids]
    made.said([OutputPart(text), *calls], 3)
    made.answered(ModelFinish("tool-calls" if ids else "stop", Usage(1, 2, 3)), 4)
    return made


def continued(made: Machine, reason: str, at: int, rerun: Collection[str] = ()) -> list[AnyEvent]:
    """Another worker goes on with it: what comes into the log, up to where it works."""
    first = RunContinued(at=at, reason=reason)
    made.story.add(first)
    events = [first, *made.resumed(reason, at)]
    return events + made.recovered(at, rerun) if made.state is State.ACT else events


class Logged:
    """A machine, and the log of what it returned.

    Args:
        make: makes such a machine.
    """

    def __init__(self, make: Callable[[], Machine]) -> None:
        self._make = make
        self.live: Machine = make()
        self.log: list[tuple[bytes, Mapping[str, Any] | None]] = []

    @property
    def next_offset(self) -> int:
        return len(self.log) + 1

    def append(self, events: Sequence[AnyEvent], finish: ModelFinish | None = None) -> None:
        """As a worker does: with what is kept beside the answer that ended so."""
        for event in events:
            kept = None
            if finish is not None and isinstance(event, ModelFinished):
                kept = decode_kept(encode_json(wanted_back(finish)))
            self.log.append((encode_event(event), kept))

    def rebuilt(self) -> Machine:
        """The machine of whoever reads the log."""
        again = self._make()
        for offset, (data, kept) in enumerate(self.log, 1):
            event = decode_event(data)
            assert event is not None
            if isinstance(event, Nested):
                again.story.absorb(event.call, event.event)
            else:
                again.story.add(event, offset, kept)
        return again


def known(made: Machine) -> dict[str, Any]:
    """All that a machine knows, to be compared."""
    story, budget = made.story, made.budget
    transcript, failures = story.transcript, story._failures
    return {
        "state": made.state,
        "step": made.step,
        "action": made.action,
        "messages": made.messages,
        "terminal": made.terminal,
        "result": made.result,
        "began": story.began,
        "said": (transcript.text, transcript.output, transcript.answer, transcript.steps),
        "told": transcript._told,
        "provider": transcript._provider,
        "calls": (transcript.calls, story.ready),
        "outcomes": transcript._outcomes,
        "usage": (budget.usage, budget.own_usage, story.step_usage),
        "spent": (budget.spent, story._deltas),
        "waiting": (story.waiting, story.deadlines),
        "taken": story.taken,
        "losses": (story.losses, story._unknown),
        "retries": (story.retries, story.output_failures),
        "used_ids": story.used_ids,
        "failures": (failures._in_a_row, failures._step, story.failed_tool),
    }
