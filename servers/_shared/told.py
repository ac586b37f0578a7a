"""What clients tell runs that are under way: answers to calls that wait, and messages.

Rules: who says it is the caller, never what the client says. A client is told when it is in the
log. Who waits for long is told that it is not there yet; to send the same again changes nothing.
"""

from collections.abc import Awaitable, Mapping
from typing import Any, Final

import msgspec
import trio

from trio_agent import LimitExceeded, Run

from .content import AnyContent, bad, content_of
from .problem import Problem

_WAIT: Final = 30.0
"""Seconds after which a client is told that it takes longer."""

_MAX_KEY: Final = 255


class Answer(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An answer to a call that waits."""

    call_id: str
    approve: bool | None = None
    output: Any = msgspec.UNSET
    reason: str | None = None
    arguments: Any = msgspec.UNSET


class Message(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Something that the user says meanwhile."""

    content: AnyContent
    key: str | None = None
    """With the same key, the same is said once."""


def check_key(key: str | None) -> None:
    """See that a client's idempotency key is one.

    Raises:
        Problem: it is none.
    """
    if key is not None and not 0 < len(key) <= _MAX_KEY:
        raise Problem(400, "bad-request", f"an idempotency key has 1 to {_MAX_KEY} characters")


async def answer(run: Run, said: Answer, by: str | None) -> Mapping[str, object]:
    """Answer a call, and return the reply to the client. A checkpoint.

    Raises:
        Problem, AnswerRefused, RunOver: it is not taken.
    """
    done = await _tell(
        run.answer(
            said.call_id,
            approved=said.approve,
            output=said.output,
            reason=said.reason,
            by=by,
            arguments=said.arguments,
        )
    )
    return {"runId": run.id, "callId": said.call_id, **_pending(done)}


async def say(run: Run, said: Message, by: str | None) -> Mapping[str, object]:
    """Tell a run something, and return the reply to the client. A checkpoint.

    Raises:
        Problem, AnswerRefused, RunOver: it is not taken.
    """
    check_key(said.key)
    content = content_of(said.content, "$.content")
    if not content:
        raise bad("say something", "$.content")
    done = await _tell(run.say(content, by=by, key=said.key))
    return {"runId": run.id, **_pending(done)}


def _pending(done: bool) -> Mapping[str, bool]:
    return {} if done else {"pending": True}


async def _tell(telling: Awaitable[None]) -> bool:
    try:
        with trio.move_on_after(_WAIT):
            await telling
            return True
    except LimitExceeded as exc:
        # It will not be less: nobody is to try again.
        raise Problem(429, "limit-exceeded", str(exc)) from None
    except ValueError as exc:
        raise Problem(400, "bad-request", str(exc)) from None
    return False
