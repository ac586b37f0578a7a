"""Asking a server for something: within a deadline, and again if the answer was lost.

Only what says the same twice is asked for again: a request with a key, and an answer to a call.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from .._errors import LimitExceeded, StoreUnavailable
from .._http import TransportError
from ._backoff import Backoff
from ._refusal import Passing

ANSWER_SECONDS: Final = 60.0
"""Within which a request is answered; a server answers a cancel within half a minute."""

_T = TypeVar("_T")


async def ask(answer: Awaitable[_T], seconds: float = ANSWER_SECONDS) -> _T:
    """Wait for an answer, or raise what a refusal means. A checkpoint.

    Raises:
        TransportError: there was none within so many seconds (`cut-stream`), or what the wire says.
    """
    try:
        with trio.fail_after(seconds):
            return await answer
    except trio.TooSlowError:
        message = f"the server did not answer within {seconds:.0f} seconds"
        raise TransportError("cut-stream", message) from None
    except Passing as exc:
        raise exc.error from None


async def ask_again(
    request: Callable[[], Awaitable[_T]], patience: float, seconds: float = ANSWER_SECONDS
) -> _T:
    """Do so; if the connection broke before the answer had come, ask again. A checkpoint.

    Args:
        request: asks for the same each time.
        patience: seconds without a connection after which it gives up.
        seconds: for one answer.

    Raises:
        TransportError: the server saw nothing; or (`cut-stream`) what it did is unknown.
        As `ask`, of an answer that came.
    """
    backoff = Backoff(patience)
    lost: TransportError | None = None
    while True:
        try:
            return await ask(request(), seconds)
        except TransportError as exc:
            if lost is None and exc.code != "cut-stream":
                raise  # the server saw nothing
            lost = lost or exc
        except (LimitExceeded, StoreUnavailable):
            if lost is None:
                raise
        await backoff.wait(lost)
