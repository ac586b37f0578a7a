"""What the model says: from its parts to events, and to the calls that they amount to."""

from collections.abc import Set as AbstractSet

from .._events import (
    AnyEvent,
    ErrorDetail,
    ModelSwitch,
    OutputDelta,
    ReasoningDelta,
    TextDelta,
    ToolInputDelta,
    ToolName,
    ToolRequest,
)
from .._log.plain import plain_text
from .._output.unwrapper import Unwrapper
from ..models._parts import (
    ModelPart,
    ReasoningPart,
    SwitchPart,
    TextPart,
    ToolInputPart,
)
from .open_call import OpenCall


class Speech:
    """The answers of one run, one after the other.

    Args:
        call_ids: those that were used before, in the log or in the messages before it; providers
            refuse a transcript that has one twice.
        prefix: what the id of each call begins with.
        wrapped: whether answers with a shape are written into the field `output` of an object.
    """

    def __init__(
        self, call_ids: AbstractSet[str], *, prefix: str = "", wrapped: bool = False
    ) -> None:
        self.calls: int = 0
        """Calls in this answer."""
        self._call_ids = call_ids
        self._prefix = prefix
        self._wrapped = wrapped
        self._step = 0
        self._open: dict[str, OpenCall] = {}
        self._unwrapper: Unwrapper | None = None

    def begin(self, step: int) -> None:
        """The answer of this step begins."""
        self._step = step
        self._open.clear()
        self.calls = 0
        if self._wrapped:
            self._unwrapper = Unwrapper()

    def event_of(self, part: ModelPart, at: int) -> AnyEvent | None:
        """Return the event that a part is; None if it says nothing."""
        delta = part.delta
        if not delta.isascii():  # else it is plain, and this is done for each token
            delta = plain_text(delta)
        match part:
            case TextPart():
                return TextDelta(at=at, delta=delta) if delta else None
            case ReasoningPart():
                return ReasoningDelta(at=at, delta=delta) if delta else None
            case ToolInputPart(id, name):
                call = self._open.get(id)
                if call is None:
                    call = self._open[id] = OpenCall(self._unique(plain_text(id)), plain_text(name))
                    self.calls += 1
                if not delta:
                    return None
                call.fragments.append(delta)
                return ToolInputDelta(at=at, tool=ToolName(call.id, call.name), delta=delta)
            case _:
                if self._unwrapper is not None:
                    delta = self._unwrapper.feed(delta)
                return OutputDelta(at=at, delta=delta) if delta else None

    def switch(self, part: SwitchPart, at: int) -> ModelSwitch:
        """Return the event that says that another model answers."""
        from_, to = plain_text(part.from_model), plain_text(part.to_model)
        error = ErrorDetail(plain_text(part.code), plain_text(part.message))
        return ModelSwitch(at=at, step_number=self._step, from_=from_, to=to, error=error)

    def take_calls(self) -> list[ToolRequest]:
        """Return the calls of this answer, now that it is complete."""
        calls = [call.as_request() for call in self._open.values()]
        self._open.clear()
        self.calls = 0
        return calls

    def _unique(self, call_id: str) -> str:
        # Some providers count calls anew in each answer; in a run an id names one call.
        call_id = self._prefix + call_id
        opened = {call.id for call in self._open.values()}
        unique, number = call_id, self._step
        while unique in self._call_ids or unique in opened:
            unique = f"{call_id}-{number}"
            number += 1
        return unique
