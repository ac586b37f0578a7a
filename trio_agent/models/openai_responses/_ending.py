"""How a response ended.

Sources: the OpenAI API reference, "The response object", `status`, `incomplete_details` and
`error`.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from ..._errors import ModelError
from ..._http.words import clean
from .._provider._complaint import complaint
from .._provider._errors import provider_error
from .._provider._finish_reason import finish_reason
from ._event import Response

Ending: TypeAlias = Literal["completed", "length", "content-filter"]

ENDINGS: Final[Mapping[str, str]] = {
    "response.completed": "completed",
    "response.done": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
    "response.canceled": "cancelled",
}
"""The statuses that events say by their types."""

_ENDED: Final = frozenset(ENDINGS.values())


def ending_of(response: Response, event: str, *, secret: str = "") -> Ending:
    """Return how a response ended that was not broken off.

    Args:
        response: the response; its own status wins over that of the event, if it says any.
        event: the type of the event that it came in.
        secret: cut out of a provider's message.

    Raises:
        ModelError: the provider failed, or it has not ended (`bad-response`).
    """
    status = str(response.status or "").lower().replace("canceled", "cancelled")
    if status not in _ENDED:
        if event not in ENDINGS:
            name = clean(status, limit=40, secret=secret)
            raise ModelError("bad-response", f"the response has not ended: it is {name!r}")
        status = ENDINGS[event]
    if status == "completed":
        return "completed"
    if status == "incomplete":
        # All but a filter cut it off.
        details = response.incomplete_details
        reason = details.get("reason") if isinstance(details, dict) else details
        return "content-filter" if finish_reason(str(reason)) == "content-filter" else "length"
    if said := complaint(response.error):
        raise provider_error(said, secret=secret)
    raise ModelError(
        "provider-error", f"the provider broke the answer off: {status}", retryable=True
    )
