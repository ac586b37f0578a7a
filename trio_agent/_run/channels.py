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
from .._events import (
    AnyEvent,
    RunContinued,
    RunError,
    RunFinish,
    RunWaiting,
    StepDiscard,
    StepStart,
    TextDelta,
)
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
        self._end = _End()
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
                    await self._end.check(self._run)
                    raise trio.EndOfChannel
                case TextDelta(delta=delta):
                    self._said += len(delta)
                    return delta
                case StepStart():
                    self._step_began = self._said
                case StepDiscard() if self._said > self._step_began:
                    self._said = self._step_began
                    raise TextRetracted(self._said)
                case _:
                    self._end.add(event)

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
        self._end = _End()

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
                await self._end.check(self._run)
                raise trio.EndOfChannel
            changed = False
            for event in events:
                changed |= self._partial.add(event)
                self._end.add(event)
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


class _End:
    """How a run ended."""

    def __init__(self) -> None:
        self._terminal: RunError | RunFinish | None = None
        self._waits = False

    def add(self, event: AnyEvent) -> None:
        match event:
            case RunWaiting():
                self._waits = True
            case RunContinued():
                self._waits = False
            case RunError() | RunFinish():
                self._terminal = event

    async def check(self, run: Run[Any]) -> None:
        """Raise what is to be told of an end that is none."""
        match self._terminal:
            case RunError():
                await run.wait()
            case RunFinish(run=summary) if summary.finish_reason != "stop":
                # What is cancelled in its sleep was waiting until then: nobody has answered.
                raise RunIncomplete("waiting" if self._waits else summary.finish_reason)
