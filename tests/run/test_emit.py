"""What a model of a run says, on its way to the log."""

import time
from collections.abc import Sequence

import pytest
import trio
import trio.testing

from trio_agent._errors import StoreUnavailable
from trio_agent._events import AnyEvent, ModelSwitch, RunFinish, TextDelta
from trio_agent._messages import UserMessage
from trio_agent._run.emit import RunEmit, now
from trio_agent._run.machine import Machine
from trio_agent.models._parts import SwitchPart, TextPart, ToolInputPart

SWITCH = SwitchPart("a", "b", "odd", "it broke")


class Log:
    """Takes what is appended."""

    free = 1000

    def __init__(self) -> None:
        self.has_room = True
        self.events: list[AnyEvent] = []
        self.bounded: list[bool] = []
        self.failure: Exception | None = None

    def append(
        self, events: Sequence[AnyEvent], *, bounded: bool = False, private: bytes = b""
    ) -> None:
        assert not private
        self.events += events
        self.bounded.append(bounded)

    async def room(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def flush(self) -> None:
        raise NotImplementedError


class Answer:
    """An answer that is being emitted."""

    def __init__(self, max_tokens: int | None = None) -> None:
        machine = Machine("r", "a", [UserMessage("hi")], max_steps=9, max_tokens=max_tokens)
        machine.started(1)
        machine.asked(2)
        self.log = Log()
        self.scope = trio.CancelScope()
        self.heard = 0
        self.switched: list[SwitchPart] = []
        self.emit = RunEmit(machine, self.log, self.scope, self.hear, self.switched.append)

    def hear(self) -> None:
        self.heard += 1


def test_the_time_is_in_milliseconds() -> None:
    assert abs(now() - time.time() * 1000) < 10_000


async def test_the_first_word_is_told_once(autojump_clock: trio.testing.MockClock) -> None:
    answer = Answer()
    assert answer.emit.is_silent()
    await trio.sleep(2)
    await answer.emit()
    await answer.emit(TextPart(""))
    assert answer.emit.is_silent()
    await trio.sleep(1)
    await answer.emit(TextPart("a"), TextPart("b"))
    await answer.emit(TextPart("c"))
    assert not answer.emit.is_silent()
    assert (answer.heard, answer.emit.first, answer.emit.calls) == (1, 3.0, 4)
    assert [e.delta for e in answer.log.events if isinstance(e, TextDelta)] == ["a", "b", "c"]
    # What comes from a model may be refused.
    assert answer.log.bounded == [True, True]


async def test_a_call_that_is_opened_is_a_word() -> None:
    answer = Answer()
    await answer.emit(ToolInputPart("1", "t", ""))
    assert not answer.emit.is_silent()


async def test_another_model_is_no_word() -> None:
    answer = Answer()
    await answer.emit(SWITCH)
    assert answer.emit.is_silent()
    assert answer.switched == [SWITCH]
    assert isinstance(answer.log.events[0], ModelSwitch)


async def test_the_answer_is_cancelled_when_the_machine_is_done() -> None:
    answer = Answer(max_tokens=1)
    with answer.scope:
        await answer.emit(TextPart("a"), TextPart("b"))
        await answer.emit(TextPart("late"))
        await trio.sleep_forever()
    assert answer.scope.cancelled_caught
    assert isinstance(answer.log.events[-1], RunFinish)
    # The end is never refused.
    assert answer.log.bounded == [False]


async def test_every_so_many_calls_are_a_checkpoint() -> None:
    """So that a model that never waits can be cancelled, and others get their turn."""
    answer = Answer()
    with trio.CancelScope() as scope:
        scope.cancel()
        for _ in range(1000):
            await answer.emit(TextPart("a"))
    assert answer.emit.calls < 100


@pytest.mark.parametrize("has_room", [True, False])
async def test_who_emits_waits_for_the_store(has_room: bool) -> None:
    answer = Answer()
    answer.log.has_room = has_room
    answer.log.failure = StoreUnavailable("away")
    assert answer.emit.nowait(TextPart("a")) is has_room
    with pytest.raises(StoreUnavailable):
        await answer.emit.room()
