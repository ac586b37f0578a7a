"""What an instrument is: what the runtime calls, and when."""

from collections.abc import Generator

from ..tools._context import RunFacts
from .facts import (
    ModelEnd,
    ModelFacts,
    ModelRetried,
    ModelSwitched,
    RunEnd,
    StepEnd,
    StepFacts,
    ToolEnd,
    ToolFacts,
)


class Instrument:
    """Sees what runs do: for traces, metrics, logs. Define the methods that you need.

    As Trio's own instruments, one is called only where it has a method of its own, and nothing is
    called per token. `run`, `step`, `model` and `tool` are generators that yield once: what stands
    before the `yield` is done at the beginning, and the `yield` gives how it ended. One that
    returns before its `yield` isn't told of the end.

    All methods are called in the task that does the work, where `current_run` and Trio's clock
    are known, and they stand in each other as their calls do: a context variable that is set
    before the `yield` holds for all that is done within, also in child tasks and in threads of
    tools, and can be reset behind it. So a ``with`` may stand around the `yield`.

    They hold up everything while they run: keep them short. What they raise harms no run: it is
    logged with its traceback, and the instrument is called no more. What it has begun is closed.
    Only `KeyboardInterrupt` goes on.
    """

    def run(self, run: RunFacts, /) -> Generator[None, RunEnd, None]:  # noqa: ARG002
        """Around a run, until everything of it is gone.

        A sub-agent's run is one, too: it has a `parent`, and stands within the `tool` of that call.
        """
        yield

    def step(self, step: StepFacts, /) -> Generator[None, StepEnd, None]:  # noqa: ARG002
        """Around a step: one answer of the model, and the tools that it asks for."""
        yield

    def model(self, model: ModelFacts, /) -> Generator[None, ModelEnd, None]:  # noqa: ARG002
        """Around a model's answer, with all its retries and switches."""
        yield

    def model_retried(self, retried: ModelRetried, /) -> None:
        """Called within `model`: it failed, and is asked again after a while."""

    def model_switched(self, switched: ModelSwitched, /) -> None:
        """Called within `model`: it failed, and another one is asked."""

    def tool(self, call: ToolFacts, /) -> Generator[None, ToolEnd, None]:  # noqa: ARG002
        """Around a call of a tool. Those of one step go on at the same time, each in a task."""
        yield
