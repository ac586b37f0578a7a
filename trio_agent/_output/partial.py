"""What of an answer is there so far: a fold over events, at any reader.

A partial value is what the text means if it ended here, as far as that is sure. It is not
validated. Strings grow; numbers and literals are there when they are whole; so is a key when its
value has begun.
"""

from typing import Any

import msgspec

from .._events import AnyEvent, OutputDelta, OutputRetry, RunFinish, StepDiscard, StepStart
from .repair import Repair


class PartialOutput:
    """The answer of a run so far, from its events: those of a subscription, or of a client.

    It is about the run itself: what sub-agents answer (`Nested`) is no part of it. For a run that
    was found, feed it with the events of ``run.subscribe()``, from the first on: of an answer whose
    beginning it has not seen, it does not know what it means.
    """

    def __init__(self) -> None:
        self._repair = Repair()
        self._deltas: list[str] = []
        self._final: Any = msgspec.UNSET

    @property
    def value(self) -> Any:
        """A JSON value, unvalidated; the final one once the run has finished with it.

        `msgspec.UNSET` while there is none. Not to be changed. Costs as much as reading the text,
        if something has changed since you last asked.
        """
        return self._repair.value if self._final is msgspec.UNSET else self._final

    @property
    def text(self) -> str:
        """The JSON text so far, as the model wrote it."""
        return "".join(self._deltas)

    def add(self, event: AnyEvent) -> bool:
        """Fold in the next event of the run. Costs as much as the event is long.

        Returns:
            Whether the value may be another now. It begins anew with each step, with each
            `StepDiscard` and each `OutputRetry`.
        """
        match event:
            case OutputDelta(delta=delta):
                self._deltas.append(delta)
                return self._repair.feed(delta)
            case StepStart() | StepDiscard() | OutputRetry():
                had_value = self.value is not msgspec.UNSET
                self._repair, self._final = Repair(), msgspec.UNSET
                self._deltas.clear()
                return had_value
            case RunFinish(run=run) if run.output is not msgspec.UNSET:
                changed: bool = self.value != run.output
                self._final = run.output
                return changed
        return False
