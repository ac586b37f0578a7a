"""An instrument that hears of everything."""

from collections.abc import Generator
from typing import Any

from trio_agent import RunFacts
from trio_agent.abc import (
    Instrument,
    ModelFacts,
    ModelRetried,
    ModelSwitched,
    StepFacts,
    ToolFacts,
)

AROUND = Generator[None, Any, None]


class Listener(Instrument):
    """Say what to do with what it hears: of a beginning, of an end, of what is in between."""

    def began(self, facts: Any) -> None:
        """A run, a step, a model's answer or a call begins."""

    def ended(self, end: Any) -> None:
        """It ended."""

    def heard(self, facts: Any) -> None:
        """A model is asked again, or another one is asked."""

    def _around(self, facts: object) -> AROUND:
        self.began(facts)
        end = yield
        self.ended(end)

    def run(self, run: RunFacts, /) -> AROUND:
        return self._around(run)

    def step(self, step: StepFacts, /) -> AROUND:
        return self._around(step)

    def model(self, model: ModelFacts, /) -> AROUND:
        return self._around(model)

    def tool(self, call: ToolFacts, /) -> AROUND:
        return self._around(call)

    def model_retried(self, retried: ModelRetried, /) -> None:
        self.heard(retried)

    def model_switched(self, switched: ModelSwitched, /) -> None:
        self.heard(switched)
