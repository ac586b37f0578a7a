"""What can go wrong, named after who is to blame.

Trio's own errors keep their meaning: `trio.ClosedResourceError` is your doing,
`trio.BrokenResourceError` the outside's, `trio.BusyResourceError` two tasks at once.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    # What a failed run leaves behind is told with its failure, and made far above.
    from ._run.result import Result


class TrioAgentError(Exception):
    """The base of every error that this package defines."""


class UnknownRun(TrioAgentError, LookupError):
    """There is no run with this id, or it is not yours to see."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"there is no run {self.run_id!r}"


class UnknownThread(TrioAgentError, LookupError):
    """There is no thread with this name, or it is not yours to see."""

    def __init__(self, thread: str) -> None:
        super().__init__(thread)
        self.thread = thread

    def __str__(self) -> str:
        return f"there is no thread {self.thread!r}"


class UnknownBlob(TrioAgentError, LookupError):
    """The run was given no such file."""

    def __init__(self, run_id: str, digest: str) -> None:
        super().__init__(run_id, digest)
        self.run_id = run_id
        self.digest = digest

    def __str__(self) -> str:
        return f"run {self.run_id!r} was given no file with the SHA-256 {self.digest!r}"


class CursorInvalid(TrioAgentError, ValueError):
    """The text is not a cursor, or it is the cursor of another run."""


class CursorExpired(TrioAgentError, LookupError):
    """The cursor was good once: its log is gone, was replaced, or never got that far."""


class LogDamaged(CursorExpired):
    """What is stored of this run can't be read; no other run is concerned."""


class LimitExceeded(TrioAgentError):
    """A bound that you set would be passed; nothing was started or changed."""


class TooLarge(TrioAgentError, ValueError):
    """What was given is larger than a bound that you set allows; nothing was started."""


class KeyReused(TrioAgentError, ValueError):
    """The idempotency key belongs to a run that was asked for with other words."""


class ThreadBusy(TrioAgentError):
    """A run is active in this thread: wait until it has ended, or cancel it.

    Nothing was changed.
    """

    def __init__(self, thread: str, run_id: str) -> None:
        super().__init__(thread, run_id)
        self.thread = thread
        self.run_id = run_id
        """The one that is active."""

    def __str__(self) -> str:
        return f"run {self.run_id!r} is active in the thread {self.thread!r}"


class ThreadMoved(TrioAgentError):
    """The thread has another head than whoever starts a run has seen: look again.

    Stores raise it, and runtimes look again. Nothing was changed.
    """


class AnswerRefused(TrioAgentError):
    """The run does not wait for this answer, or not any more: somebody else's may have come first.

    Nothing was changed.
    """


class RunOver(TrioAgentError):
    """The run has ended before it could take what you tell it."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"run {self.run_id!r} has ended"


class TextRetracted(TrioAgentError):
    """Text that you have got was taken back: the model's answer broke off, and is repeated.

    Receive again to go on. Of the text so far, the first `keep` characters stand.
    """

    def __init__(self, keep: int) -> None:
        super().__init__(keep)
        self.keep = keep

    def __str__(self) -> str:
        return f"all but the first {self.keep} characters of the text were taken back"


class StoreUnavailable(TrioAgentError):
    """The store can't be reached or can't take the event; what it took before is safe."""


class FenceLost(TrioAgentError):
    """Another worker owns this run now (or closed its log): stop working on it."""


class ModelError(TrioAgentError):
    """A model, or the way to it, failed.

    Args:
        code: what happened, in a word or two joined by hyphens, for programs.
        message: what happened, for people. Holds no secrets and no prompt.
        retryable: whether asking again may help.
        retry_after: seconds that the provider wants us to wait before that.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ToolError(TrioAgentError):
    """Raise this in a tool to tell the model, in your words, why the call failed.

    A validator of an answer raises it to say what is to be corrected.
    """


class ToolSourceError(TrioAgentError):
    """A source of tools, or the way to it, failed. The message holds no secrets."""


class RunFailed(TrioAgentError):
    """The run ended with an `error` event.

    `result` is what came of it all the same: its transcript, which another run can go on from,
    and what it cost; None where only its end is known.
    """

    def __init__(self, code: str, message: str, result: "Result[Any] | None" = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.result = result

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class RunIncomplete(TrioAgentError):
    """The run finished, but not with `stop`: the text that you got is not the whole answer."""

    def __init__(self, finish_reason: str) -> None:
        super().__init__(finish_reason)
        self.finish_reason = finish_reason

    def __str__(self) -> str:
        return f"the run finished with {self.finish_reason!r}: its answer is incomplete"
