"""How an agent's work ended, as it is told."""

from typing import Any

import pytest

from trio_agent._errors import (
    LimitExceeded,
    ModelError,
    StoreUnavailable,
    ToolError,
    ToolSourceError,
)
from trio_agent._events import Usage
from trio_agent._instrument.facts import RunEnd
from trio_agent._messages import UserMessage
from trio_agent._run.ending import Failure, answer_of, failure_of, run_end_of
from trio_agent._run.machine import Machine
from trio_agent._run.states import Expected
from trio_agent.models._parts import ModelFinish, OutputPart, TextPart


@pytest.mark.parametrize(
    ("exc", "failure"),
    [
        (ModelError("rate-limit", "slow down"), Failure("rate-limit", "slow down")),
        (ToolSourceError("it is away"), Failure("tools-unavailable", "it is away")),
        (LimitExceeded("full"), Failure("log-limit", "full")),
        (StoreUnavailable("away"), Failure("store-unavailable", "away")),
        (ToolError("x"), Failure("internal", "internal error (ToolError)", is_bug=True)),
        (KeyError("secret"), Failure("internal", "internal error (KeyError)", is_bug=True)),
    ],
)
def test_failures(exc: BaseException, failure: Failure) -> None:
    assert failure_of(exc) == failure


def answering(output: Expected | None = None) -> Machine:
    made = Machine("r", "a", [UserMessage("hi")], max_steps=1, output=output)
    made.started(1)
    made.asked(2)
    return made


def finished() -> Machine:
    made = answering()
    made.said([TextPart("yes")], 3)
    made.answered(ModelFinish("stop", Usage(1, 2, 3)), 4)
    return made


def shaped(value: Any) -> Machine:
    made = answering(Expected())
    made.said([OutputPart("null")], 3)
    made.answered(ModelFinish("stop"), 4)
    made.accepted(value, 5)
    return made


def cut() -> Machine:
    made = answering()
    made.finish("cancelled", 3, reason="by you")
    return made


def failed() -> Machine:
    made = answering()
    made.fail("c", "m", 3)
    return made


@pytest.mark.parametrize(
    ("machine", "answer"), [(finished(), "yes"), (shaped([1]), [1]), (shaped(None), None)]
)
def test_answers(machine: Machine, answer: Any) -> None:
    assert answer_of("a", machine) == answer


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (cut(), "the agent 'a' did not finish: cancelled"),
        (failed(), "the agent 'a' failed: c: m"),
    ],
)
def test_no_answers(machine: Machine, message: str) -> None:
    with pytest.raises(ToolError) as excinfo:
        answer_of("a", machine)
    assert str(excinfo.value) == message


def test_instruments_are_told() -> None:
    usage = Usage(1, 2, 3)
    assert run_end_of(finished()) == RunEnd(
        outcome="stop", steps=1, usage=usage, own_usage=usage, stored=True
    )
    assert run_end_of(cut(), stored=False) == RunEnd(
        outcome="cancelled", reason="by you", steps=1, stored=False
    )
    assert run_end_of(failed()) == RunEnd(outcome="error", error="c", steps=1)
