"""Bounds that you set, and what happens when nobody watches."""

import math
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import attrs
from attrs.validators import ge, gt, optional

# Said so that type checkers don't take the default for all that it can be.
_TOOL_RETRIES: Final[int | None] = 5


@attrs.frozen(kw_only=True)
class Limits:
    """What one run of an agent may use. Deadlines are in seconds; `math.inf` means none.

    Args:
        max_steps: model calls. The tools of the last one still run; then the run ends with
            `max-steps`.
        max_tokens: tokens in all steps together, by default as many as it takes. The run ends
            with `budget`, in the middle of an answer.
        run_deadline: for the whole run, which then ends with `timeout`.
        step_deadline: for one model call and its tools. The run ends with `timeout`.
        model_retries: times that a failed model call is repeated, only while the model has said
            nothing.
        retry_window: seconds from the first call within which the last repetition begins.
        tool_deadline: for one tool call, unless the tool has its own. The model is told and goes
            on.
        tool_retries: times in a row that a tool may fail and be tried again, None for as often as
            the steps allow. Calls of one step count once, and not at all if one of them succeeds.
            With one failure more the run ends with `error` `tool-retries`.
        output_retries: times that the model may correct an answer that has not the shape asked
            for. With one failure more the run ends with `error` `output-invalid`.
        step_retries: times that a step whose answer broke off in the middle is taken back and
            asked for again, where all readers can take text back.
        answer_deadline: that a call waits for somebody (7 days). Then it is not made, and the model
            is told.
        continuations: workers that a run may lose one after the other, without anything coming of
            it. With one more it ends with `error` `worker-lost`.
    """

    max_steps: int = attrs.field(default=10, validator=ge(1))
    max_tokens: int | None = attrs.field(default=None, validator=optional(ge(1)))
    run_deadline: float = attrs.field(default=math.inf, validator=gt(0))
    step_deadline: float = attrs.field(default=math.inf, validator=gt(0))
    model_retries: int = attrs.field(default=3, validator=ge(0))
    retry_window: float = attrs.field(default=15.0, validator=ge(0))
    tool_deadline: float = attrs.field(default=60.0, validator=gt(0))
    tool_retries: int | None = attrs.field(default=_TOOL_RETRIES, validator=optional(ge(0)))
    output_retries: int = attrs.field(default=2, validator=ge(0))
    step_retries: int = attrs.field(default=2, validator=ge(0))
    answer_deadline: float = attrs.field(default=604_800.0, validator=gt(0))
    continuations: int = attrs.field(default=3, validator=ge(0))


def _in_json(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


LIMIT_NAMES: Final[Mapping[str, str]] = {
    _in_json(field.name): field.name for field in attrs.fields(Limits)
}
"""The names of the limits of a run, by those that requests have: ``maxTokens`` is `max_tokens`."""


@attrs.frozen
class Retention:
    """Which finished logs a store may remove, oldest first. Active ones always stay.

    Args:
        seconds: age since the terminal event. A day is 86,400.
        max_runs: finished logs that are kept at most.
        max_bytes: bytes of finished logs that are kept at most, with what was said before them.
        owner_bytes: such bytes of one owner's. What nobody owns has no such bound.
        thread_seconds: age of a thread since a run in it last ended. What was said in threads stays
            by default when the logs of their runs are removed; its bytes count as those of logs.
    """

    seconds: float = 300.0
    max_runs: float = 10_000
    max_bytes: float = 1 << 30
    owner_bytes: float = math.inf
    thread_seconds: float = math.inf

    def keeps(self, finished_at: float, *, now: float, runs: int, size: int) -> bool:
        """Whether the oldest finished run stays, whoever owns it.

        Args:
            finished_at: when its terminal event came, in seconds of the clock of `now`.
            now: what that clock says.
            runs: how many finished runs there are.
            size: bytes of their logs, of what is kept beside them, and of threads.
        """
        # Counted forward, as a deadline is: it has passed when somebody who slept until it looks.
        young = finished_at + self.seconds > now
        return young and runs <= self.max_runs and size <= self.max_bytes

    def keeps_thread(self, idle_since: float, *, now: float, size: int) -> bool:
        """Whether the oldest idle thread stays. The arguments are as those of `keeps`."""
        return idle_since + self.thread_seconds > now and size <= self.max_bytes

    def of_each_owner(self) -> "Retention":
        """Return what is kept of the runs and threads of one owner."""
        return Retention(math.inf, math.inf, self.owner_bytes)


@attrs.frozen(kw_only=True)
class RuntimeLimits:
    """The bounds of a runtime.

    Args:
        max_streams: active runs; one more is refused with `LimitExceeded`.
        max_log_bytes: bytes of one run's log; a run that needs more ends with `error`
            `log-limit`.
        max_blob_bytes: bytes of the files that a run is given, all together; a run with more is
            refused with `TooLarge`.
        max_thread_bytes: bytes of what was said in a thread before a run in it; a run that comes
            behind more is refused with `TooLarge`.
        retention: which finished runs and idle threads are kept. By default a durable store keeps
            all, and another one what `Retention()` says: runs for 300 s, and no more than so many.
        closing_bound: seconds that a run's closing events may take, also when everything is
            being cancelled.
        store_patience: seconds that a store may be away before runs and subscribers are told.
        tool_threads: sync tools that run at once. Those that hang, which are over their deadline
            or were cancelled, are not counted, up to as many again.
    """

    max_streams: int = attrs.field(default=1000, validator=ge(1))
    max_log_bytes: int = attrs.field(default=64 << 20, validator=ge(1024))
    max_blob_bytes: int = attrs.field(default=32 << 20, validator=ge(0))
    max_thread_bytes: int = attrs.field(default=64 << 20, validator=ge(0))
    retention: Retention | None = None
    closing_bound: float = attrs.field(default=5.0, validator=gt(0))
    store_patience: float = attrs.field(default=5.0, validator=ge(0))
    tool_threads: int = attrs.field(default=40, validator=ge(1))


@attrs.frozen
class CancelAfter:
    """Cancel a run when nobody has watched it for so many seconds.

    They are counted from the start of the run, or from the last viewer's leaving.
    """

    seconds: float = attrs.field(validator=ge(0))


OnDisconnect: TypeAlias = Literal["continue", "cancel"] | CancelAfter
"""What becomes of a run without viewers: it goes on, it is cancelled as soon as the last one
has left (but not before the first came), or it is cancelled after a while."""
