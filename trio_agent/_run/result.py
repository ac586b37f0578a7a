"""What came of a run, whether it finished or failed."""

from typing import Any, Generic, Literal

import attrs
import msgspec

from .._errors import RunIncomplete
from .._events import FinishReason, RunError, RunFinish, Usage
from .._messages import AnyMessage
from .._output.shape import OutT_co
from .transcript import Transcript


@attrs.frozen
class Result(Generic[OutT_co]):
    """What came of a run."""

    run_id: str
    text: str
    """All deltas of all steps."""
    steps: int
    finish_reason: FinishReason | Literal["error"]
    usage: Usage
    messages: tuple[AnyMessage, ...]
    """The transcript, from the first message on; every tool call is paired with its result."""
    reason: str | None = None
    """More about the finish reason: who cancelled, which deadline passed, what failed."""
    _output: Any = msgspec.UNSET

    @property
    def output(self) -> OutT_co:
        """The answer: a value of the shape that was asked for; where none was, the text.

        Of a run that was found in a store: the JSON of the value. No log tells that a shape was
        asked for, so that without such an answer it is the text there.

        Raises:
            RunIncomplete: a shape was asked for, and the run ended without such an answer.
        """
        if self._output is msgspec.UNSET:
            raise RunIncomplete(self.finish_reason)
        output: OutT_co = self._output
        return output


def result_of(
    run_id: str,
    terminal: RunFinish | RunError,
    transcript: Transcript,
    *,
    shaped: bool = False,
) -> Result[Any]:
    """Say what came of a run that ended with this event, and with this transcript.

    Args:
        run_id: names it.
        terminal: how it ended.
        transcript: what was said until then.
        shaped: whether a shape was asked for, so that a text is no answer.
    """
    output: Any = msgspec.UNSET
    if isinstance(terminal, RunFinish):
        run = terminal.run
        reason: str | None = run.reason
        text, steps, finish_reason, usage = run.text, run.steps, run.finish_reason, run.usage
        output = run.output
    else:
        text, steps, finish_reason = transcript.text, transcript.steps, "error"
        usage, reason = terminal.usage, terminal.error.message
    if output is msgspec.UNSET and not shaped:
        output = text
    said = transcript.messages
    return Result(run_id, text, steps, finish_reason, usage, said, reason, output)
