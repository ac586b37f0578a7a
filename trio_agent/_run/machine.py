"""What an agent does next: a pure function of what happened.

The machine decides for one run, or for one sub-agent in it. Tell it what happened and it returns
the events to publish; ask it for `action` and it says what to do. It knows no clock and does no
I/O: times come in as `at` (Unix milliseconds), so that a run can be replayed to the letter. All
that it knows is in its `Story`: who feeds that with the events of a log has the machine that wrote
it. What is returned at once belongs together, and is committed together.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Literal

from msgspec import UNSET

from .._content import File
from .._events import (
    AnyEvent,
    FinishReason,
    ModelFinished,
    OutputRetry,
    RunError,
    RunFinish,
    RunStart,
    RunWaiting,
    StepDiscard,
    StepStart,
    ToolAsked,
    ToolCall,
    ToolRequest,
    UserSaid,
)
from .._log.plain import plain_text
from .._messages import AnyMessage
from .._output.unwrapper import was_unwrapped
from ..models._parts import (
    MAX_CALLS,
    EmittedPart,
    ModelFinish,
    SwitchPart,
)
from .budget import Budget
from .ends import Ends
from .failures import Failures
from .items import Answer, Item
from .kept import wanted_back
from .result import Result, result_of
from .speech import Speech
from .states import Action, AskModel, CheckOutput, Expected, RunTools, State
from .story import LOST, Story

_ANSWER: Final = State.ANSWER  # for each token; before Python 3.12 it is slow to look up
_LOST = "the worker was lost during this call: its outcome is unknown"


def _nothing(_: ToolRequest) -> None:
    """No call waits for anybody."""


class Machine:
    """One run.

    Args:
        run_id: names it.
        agent: the name of the agent.
        messages: what was said before.
        max_steps: model calls at most; the tools of the last one still run.
        max_tokens: tokens at most, over all steps, None for no budget. While an answer streams,
            each delta counts as one token; the provider's number replaces that if it tells one.
        tool_retries: as `Limits` has them.
        continuations: as `Limits` has them.
        output: the shape that the answer is to have, as the machine must know it.
        retractable: whether what was said can be taken back.
        parent: of a sub-agent: in which call of which machine it is.
    """

    def __init__(
        self,
        run_id: str,
        agent: str,
        messages: Sequence[AnyMessage],
        *,
        max_steps: int,
        max_tokens: int | None = None,
        tool_retries: int | None = None,
        continuations: int = 0,
        output: Expected | None = None,
        retractable: bool = False,
        parent: "tuple[Machine, str] | None" = None,
    ) -> None:
        self._run_id = run_id
        self._agent = agent
        self._max_steps = max_steps
        self._continuations = continuations
        self._output = output
        self._retractable = retractable
        self.budget: Budget = Budget(max_tokens, None if parent is None else parent[0].budget)
        """What it has used, and may use."""
        self.story: Story = Story(
            messages, self.budget, Failures(tool_retries), shaped=output is not None
        )
        """What has happened so far."""
        if parent is not None:  # One log: an earlier attempt at this call may have used some.
            self.story.used_ids = parent[0].story.used_ids
        self._speech = Speech(
            self.story.used_ids,
            # So that an id names one call in the log, at whatever depth.
            prefix="" if parent is None else f"{parent[1]}/",
            wrapped=output is not None and output.wrapped,
        )
        self._ends = Ends(run_id, self.story, self.budget)

    @property
    def state(self) -> State:
        """Where it is."""
        return self.story.state

    @property
    def step(self) -> int:
        """The number of the step that is under way, or of the last one."""
        return self.story.step

    @property
    def terminal(self) -> RunFinish | RunError | None:
        """The terminal event, once it was returned."""
        return self.story.terminal

    @property
    def messages(self) -> tuple[AnyMessage, ...]:
        """The transcript, up to the last step that has ended."""
        return self.story.transcript.messages

    @property
    def action(self) -> Action:
        """What to do next. Asking changes nothing."""
        match self.state:
            case State.ASK:
                return AskModel(self.messages)
            case State.CHECK:
                written = self.story.transcript.output
                wrapped = self._output is not None and self._output.wrapped
                unwrapped = wrapped and was_unwrapped(written)
                return CheckOutput(self.story.transcript.answer, unwrapped)
            case State.ACT:
                return RunTools(self.story.ready)
            case _:
                return None

    @property
    def done(self) -> bool:
        """Whether the terminal event was returned."""
        return self.story.state is State.DONE

    @property
    def result(self) -> Result[Any] | None:
        """What came of the run, once it finished or failed; None before."""
        if self.terminal is None:
            return None
        shaped = self._output is not None
        return result_of(self._run_id, self.terminal, self.story.transcript, shaped=shaped)

    def started(self, at: int, thread: str | None = None) -> list[AnyEvent]:
        """The run begins, in this thread if in any."""
        self._expect(State.START)
        start = RunStart(
            at=at,
            run_id=self._run_id,
            agent=self._agent,
            retractable=self._retractable,
            thread=UNSET if thread is None else thread,
        )
        return [self._ends.told(start)]

    def asked(self, at: int, offset: int = 0) -> list[AnyEvent]:
        """The model is being called. The event goes to this offset of the log."""
        self._expect(State.ASK)
        start = StepStart(at=at, step_number=self.step + 1)
        self._speech.begin(start.step_number)
        self.story.add(start, offset)
        return [start]

    def said(self, parts: Sequence[EmittedPart], at: int) -> list[AnyEvent]:
        """The model emitted these parts. What it says after its budget is spent is dropped."""
        events: list[AnyEvent] = []
        story, speech = self.story, self._speech
        if story.state is not _ANSWER:
            assert self.done, "it speaks when it was asked"
            return events
        for part in parts:
            if isinstance(part, SwitchPart):
                events.append(speech.switch(part, at))
                continue
            event = speech.event_of(part, at)
            if event is not None:
                events.append(event)
                story.add_delta(event)
                if self.budget.bounded and self.budget.exhausted is not None:
                    return events + self._check_budget(at)
            if speech.calls > MAX_CALLS:
                message = f"the model asked for more than {MAX_CALLS} tools at once"
                return events + self.fail("too-many-calls", message, at)
        return events

    def broke_off(self, reason: str, at: int) -> list[AnyEvent]:
        """The model's answer ended in the middle: it is taken back, and to be asked for again."""
        self._expect(State.ANSWER)
        return [
            self._ends.told(
                StepDiscard(
                    at=at,
                    step_number=self.step,
                    from_offset=self.story.began,
                    reason=plain_text(reason),
                )
            )
        ]

    def answered(
        self,
        finish: ModelFinish,
        at: int,
        *,
        wants: Callable[[ToolRequest], str | None] = _nothing,
        deadline: int | None = None,
        more: bool = False,
    ) -> list[AnyEvent]:
        """The model's answer is complete.

        The first event is a `ModelFinished`, beside which `wanted_back` is to be kept.

        Args:
            finish: how it ended.
            at: the time.
            wants: says of a call what it waits for, `approval` or `input`, if for anything.
            deadline: how long such calls wait, in Unix milliseconds.
            more: whether somebody has told the run something, which the model is to hear.
        """
        self._expect(State.ANSWER)
        event = ModelFinished(
            at=at,
            step_number=self.step,
            model=plain_text(finish.model),
            reason=finish.reason,
            usage=finish.usage,
        )
        self.story.add(event, kept=wanted_back(finish))
        calls = self._speech.take_calls()
        if finish.reason == "content-filter":
            message = "the provider's filter stopped the answer"
            return [event, *self.fail("content-filter", message, at)]
        if finish.reason == "length":
            # The last call may have been cut short, so that none of them is run.
            return [event, self._ends.step(at), *self.finish("length", at)]
        if not calls and finish.reason == "tool-calls":
            message = "the model named no tool that it wants to call"
            return [event, *self.fail("bad-response", message, at)]
        if calls:
            events = [event, *self._call(calls, wants, deadline, at)]
            return events if self.state is State.CHECK else [*events, *self._check_budget(at)]
        if self.state is State.CHECK:
            return [event]
        events = [event, self._ends.step(at)]
        if more and self.step < self._max_steps:
            return [*events, *self._check_budget(at)]
        return [*events, self._ends.run("stop", None, at)]

    def _call(
        self,
        calls: Sequence[ToolRequest],
        wants: Callable[[ToolRequest], str | None],
        deadline: int | None,
        at: int,
    ) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for call in calls:
            wanted = wants(call)
            events.append(self._ends.told(ToolCall(at=at, tool=call, wants=wanted)))
            if wanted is not None:
                asked = ToolAsked(at=at, tool=call, kind=wanted, deadline=deadline)
                events.append(self._ends.told(asked))
        return events

    def accepted(self, output: Any, at: int) -> list[AnyEvent]:
        """The answer has its shape: it ends the run, and open calls with it.

        Args:
            output: its JSON value.
            at: the time.
        """
        self._expect(State.CHECK)
        events = self._ends.calls("not started: the answer was given beside it", at)
        return [*events, self._ends.step(at), self._ends.run("stop", None, at, output)]

    def refused(self, message: str, at: int) -> list[AnyEvent]:
        """The answer does not have its shape; `message` tells the model what to correct."""
        self._expect(State.CHECK)
        assert self._output is not None, "only what was asked for can be missing"
        message = plain_text(message)
        if self.story.output_failures >= self._output.retries:
            return self.fail("output-invalid", message, at)
        retry = self._ends.told(OutputRetry(at=at, message=message))
        return [
            retry,
            *(self._check_budget(at) if self.story.transcript.calls else self._end_step(at)),
        ]

    def abandoned(self, call_id: str) -> None:
        """Nobody waits for the end of this call any more: it is answered as `unknown`."""
        self._ends.abandon(call_id)

    def returned(
        self,
        call_id: str,
        status: Literal["ok", "error", "unknown"],
        output: Any,
        at: int,
        files: tuple[File, ...] = (),
    ) -> list[AnyEvent]:
        """A tool returned."""
        self._expect(State.ACT)
        result = self._ends.call(call_id, status, output, at, files=files)
        return [result, *self._after_result(at)]

    def took(self, item: Item, at: int) -> list[AnyEvent]:
        """Somebody answered a call that waits, or told the run something.

        The first event is the item's: it says that the item was taken.
        """
        self._expect(State.ASK, State.ACT)
        if not isinstance(item, Answer):
            return [self._ends.told(UserSaid(at=at, content=item.content, by=item.by))]
        events = self._ends.answer(item, at)
        return events + self._after_result(at) if len(events) > 1 else events

    def waits(self, at: int) -> list[AnyEvent]:
        """Nothing is left to do but to wait for answers: the run goes to sleep."""
        self._expect(State.ACT)
        assert not self.story.ready, "these calls wait for nobody"
        return [self._ends.told(RunWaiting(at=at, calls=tuple(self.story.waiting)))]

    def resumed(self, reason: str, at: int) -> list[AnyEvent]:
        """Somebody works on it again, with a machine that has read its log (`RunContinued`, too).

        An answer that was under way is taken back. What may have run has an unknown outcome, until
        `recovered`. A run that loses one worker after the other ends.
        """
        self._expect(State.ASK, State.ANSWER, State.CHECK, State.ACT)
        for call in self.story.ready if self.state is State.ACT else ():
            self.abandoned(call.id)
        events = self.broke_off(reason, at) if self.state is State.ANSWER else []
        if self.story.losses > self._continuations:
            times = self.story.losses
            events += self.fail(LOST, f"its worker was lost {times} times in a row", at)
        return events

    def recovered(self, at: int, rerun: Collection[str] = ()) -> list[AnyEvent]:
        """What may have run is not run again, unless it is a call of a tool that `rerun` names."""
        self._expect(State.ACT)
        lost = [call for call in self.story.ready if call.name not in rerun]
        events: list[AnyEvent] = [self._ends.call(call.id, "unknown", _LOST, at) for call in lost]
        return events + self._after_result(at) if events else events

    def _after_result(self, at: int) -> list[AnyEvent]:
        if self.story.transcript.calls:
            return []
        events = self._end_step(at)
        if self.story.failed_tool is not None and not self.done:
            events += self.fail("tool-retries", self.story.failed_tool, at)
        return events

    def _end_step(self, at: int) -> list[AnyEvent]:
        events: list[AnyEvent] = [self._ends.step(at)]
        if self.step == self._max_steps:
            return events + self.finish("max-steps", at)
        # A sub-agent may have spent what was left.
        return events + self._check_budget(at)

    def finish(
        self, finish_reason: FinishReason, at: int, *, reason: str | None = None
    ) -> list[AnyEvent]:
        """End the run in good order. Open calls are answered first."""
        return self._ends.finish(finish_reason, at, reason)

    def fail(self, code: str, message: str, at: int) -> list[AnyEvent]:
        """End the run with an error. Open calls are answered first."""
        return self._ends.fail(code, message, at)

    def _expect(self, *states: State) -> None:
        assert self.state in states, f"not where this can happen: {self.state.value}"

    def _check_budget(self, at: int) -> list[AnyEvent]:
        if (bound := self.budget.exhausted) is None:
            return []
        return self.finish("budget", at, reason=f"the budget of {bound} tokens is spent")
