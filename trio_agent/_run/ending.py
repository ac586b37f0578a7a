"""How an agent's work ended, as it is told to those who wait: viewers, callers, instruments."""

from typing import Any

import attrs
import msgspec

from .._errors import LimitExceeded, ModelError, StoreUnavailable, ToolError, ToolSourceError
from .._events import RunError, RunFinish
from .._instrument.facts import RunEnd
from .machine import Machine
from .run import outcome_of


@attrs.frozen
class Failure:
    """What a run fails with."""

    code: str
    message: str
    is_bug: bool = False
    """Whether nobody outside of this program is to blame, so that its log needs the traceback."""


def failure_of(exc: BaseException) -> Failure:
    """Say what an exception means for the run that it ends."""
    match exc:
        case ModelError(code=code, message=message):
            return Failure(code, message)
        case ToolSourceError():
            return Failure("tools-unavailable", str(exc))
        case LimitExceeded():
            return Failure("log-limit", str(exc))
        case StoreUnavailable():
            return Failure("store-unavailable", str(exc))
    return Failure("internal", f"internal error ({type(exc).__name__})", is_bug=True)


def answer_of(agent: str, machine: Machine) -> Any:
    """Return what a sub-agent answers to its call, once its machine is done.

    Raises:
        ToolError: it has no answer.
    """
    match machine.terminal:
        case RunFinish(run=run) if run.finish_reason == "stop":
            return run.text if run.output is msgspec.UNSET else run.output
        case RunFinish(run=run):
            raise ToolError(f"the agent {agent!r} did not finish: {run.finish_reason}")
        case RunError(error=error):
            raise ToolError(f"the agent {agent!r} failed: {error.code}: {error.message}")
    raise AssertionError("it is not done")


def run_end_of(machine: Machine, *, stored: bool = True, outcome: str | None = None) -> RunEnd:
    """Say to instruments how it ended.

    Args:
        machine: it.
        stored: whether the store has the end.
        outcome: how the work on it ended, if it did not.
    """
    terminal = machine.terminal
    return RunEnd(
        outcome=outcome_of(terminal) if terminal is not None else outcome or "",
        reason=terminal.run.reason if isinstance(terminal, RunFinish) else None,
        error=terminal.error.code if isinstance(terminal, RunError) else None,
        steps=machine.step,
        usage=machine.budget.usage,
        own_usage=machine.budget.own_usage,
        stored=stored,
    )
