"""The answer of one run as a channel, for who wants nothing else of its events.

A channel ends only if the model said all that it had to say. Whoever receives once more behind
another end is told again, so that nobody takes it for success. Who got text that is taken back is
told so once, and goes on.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Generic

import msgspec
import trio

from .._errors import RunIncomplete, TextRetracted
from .._events import AnyEvent, RunError, RunFinish, StepDiscard, StepStart, TextDelta
from .._log.subscription import Subscription
from .._output.partial import PartialOutput
from .._output.shape import OutT_co
from .result import Result
from .run import Run


class TextChannel(trio.abc.ReceiveChannel[str]):
    """Yields the answer of one run, piece by piece."""

    def __init__(self, run: Run[Any], events: Subscription) -> None:
        self._run = run
        self._events = events
        self._end: RunError | RunFinish | None = None
        self._said = 0  # characters that were handed out and stand
        self._step_began = 0

    async def receive(self) -> str:
        """Return the next piece of text. A checkpoint; if cancelled, nothing was taken.

        Raises:
            trio.EndOfChannel: the model said all that it had to say.
            TextRetracted: what you got of this step was taken back. Receive again to go on.
            RunFailed: the run ended with `error`.
            RunIncomplete: the run finished with another reason than `stop`.
        """
        while True:
            event: AnyEvent | None = None
            with suppress(trio.EndOfChannel):
                event = await self._events.receive()
            match event:
                case None:
                    await _check_end(self._run, self._end)
                    raise trio.EndOfChannel
                case TextDelta(delta=delta):
                    self._said += len(delta)
                    return delta
                case StepStart():
                    self._step_began = self._said
                case StepDiscard() if self._said > self._step_began:
                    self._said = self._step_began
                    raise TextRetracted(self._said)
                case RunError() | RunFinish():
                    self._end = event

    async def aclose(self) -> None:
        """Receive no more. A checkpoint."""
        await self._events.aclose()


class OutputChannel(trio.abc.ReceiveChannel[Any], Generic[OutT_co]):
    """Yields what there is of the answer of one run so far: JSON values, not validated.

    A slow reader gets the latest only. When the model is asked again, what it writes then takes
    the place of what was there. The last one is the output of the run.
    """

    def __init__(self, run: Run[OutT_co], events: Subscription) -> None:
        self._run = run
        self._events = events
        self._partial = PartialOutput()
        self._end: RunError | RunFinish | None = None

    async def receive(self) -> Any:
        """Return what there is, when it is more than before.

        A checkpoint; if cancelled, nothing was taken. Don't change what you get.

        Raises:
            trio.EndOfChannel: the run finished with an answer.
            RunFailed: the run ended with `error`.
            RunIncomplete: the run finished with another reason than `stop`.
        """
        while True:
            events: Sequence[AnyEvent] = ()
            with suppress(trio.EndOfChannel):
                events = await self._events.receive_batch()
            if not events:
                await _check_end(self._run, self._end)
                raise trio.EndOfChannel
            changed = False
            for event in events:
                changed |= self._partial.add(event)
                if isinstance(event, RunError | RunFinish):
                    self._end = event
            if changed and self._partial.value is not msgspec.UNSET:
                return self._partial.value

    async def result(self) -> Result[OutT_co]:
        """Wait for the end of the run, and return what came of it. A checkpoint.

        Whatever was received until then, and whatever has not been.

        Raises:
            RunFailed: the run ended with `error`.
            RunIncomplete: the run finished with another reason than `stop`.
        """
        result = await self._run.wait()
        if result.finish_reason != "stop":
            raise RunIncomplete(result.finish_reason)
        return result

    async def aclose(self) -> None:
        """Receive no more; `result` can still be asked for. A checkpoint."""
        await self._events.aclose()


async def _check_end(run: Run[Any], end: RunError | RunFinish | None) -> None:
    """Raise what is to be told of an end that is none."""
    if isinstance(end, RunError):
        await run.wait()
    elif end is not None and end.run.finish_reason != "stop":
        raise RunIncomplete(end.run.finish_reason)
