"""What a provider complains about, in whichever of the many shapes it writes that.

Seen: `{"error": {"message", "type", "code"}}` (OpenAI), the same in a list (Google), an error that
is text, `{"object": "error", ...}` (vLLM, Mistral), `{"type": "error", "error": ...}` (Anthropic),
`{"detail": ...}` and lists of validation errors (FastAPI), `metadata.raw` with the words of a
provider behind the provider (OpenRouter), `base_resp` (MiniMax). Performs no I/O.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import attrs
import msgspec

from ._retry_after import wait_of

_MAX_DEPTH = 4
_MAX_ITEMS = 3
_MAX_DETAILS = 16

_MINIMAX = {1001: 504, 1002: 429, 1004: 401, 1008: 402, 1013: 500, 1039: 429, 2013: 400, 2049: 401}
"""Its codes, as HTTP would say it. Source: MiniMax's API reference, "Error codes"."""


@attrs.frozen
class Complaint:
    """Message, code and type of an error, as far as it has them. It is false if it has none."""

    message: str = ""
    code: str | int = ""
    type: str = ""
    retry_after: float | None = None
    """Seconds, where the error has a field for them."""

    def __bool__(self) -> bool:
        return bool(self.message or self.code or self.type)

    @property
    def status(self) -> int | None:
        """The code, if it is an HTTP status."""
        text = str(self.code)
        status = int(text) if len(text) == 3 and text.isascii() and text.isdigit() else 0
        return status if 400 <= status < 600 else None


def complaint(error: Any) -> Complaint:
    """Read an error object, text, or a list of them."""
    return _read(error, _MAX_DEPTH)


def complaint_in(value: Any, event: str = "message") -> Complaint:
    """Read what came in the place of an answer; false if that doesn't say that it is an error.

    Args:
        value: JSON.
        event: the type of the server-sent event that it came in.
    """
    if isinstance(value, list):
        items = (item for item in value[:_MAX_ITEMS] if isinstance(item, dict))
        found = (complaint_in(item, event) for item in items)
        return next((each for each in found if each), Complaint())
    if not isinstance(value, dict):
        return Complaint()
    choices = value.get("choices")
    for place in (value, *(choices if isinstance(choices, list) else ())):
        if isinstance(place, dict) and complaint(place.get("error")):
            return complaint(place)
    base = value.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        code = base["status_code"]
        code = _MINIMAX.get(code, code) if isinstance(code, int) else code
        return complaint({"code": code, "message": base.get("status_msg")})
    if choices:
        return Complaint()
    said = complaint(value)
    is_error = (
        "error" in (event, value.get("object"), value.get("type"))
        or any(value.get(name) for name in ("errors", "detail"))
        or said.status is not None
    )
    return said if is_error else Complaint()


def _read(error: Any, depth: int) -> Complaint:
    if isinstance(error, str):
        return Complaint(error.strip())
    if isinstance(error, list):
        read = [_read(item, depth - 1) for item in error[:_MAX_ITEMS]] if depth else []
        first = next((each for each in read if each), Complaint())
        return attrs.evolve(first, message="; ".join(each.message for each in read if each.message))
    if not isinstance(error, dict) or not depth:
        return Complaint(code=error) if _is_code(error) else Complaint()
    inner = Complaint()
    for name in ("error", "errors", "detail", "message"):
        if isinstance(error.get(name), dict | list) and not inner:
            inner = _read(error[name], depth - 1)
    code = next((error[n] for n in ("code", "status_code", "status") if _is_code(error.get(n))), "")
    types = (error.get("type"), error.get("status"))
    return Complaint(
        inner.message or ": ".join(_messages(error, depth)),
        inner.code or code,
        inner.type or next((each for each in types if isinstance(each, str)), ""),
        _retry_after(error) if inner.retry_after is None else inner.retry_after,
    )


def _retry_after(error: dict[Any, Any]) -> float | None:
    """Source: google.rpc.RetryInfo, in the `details` of a google.rpc.Status."""
    details = error.get("details")
    for each in details[:_MAX_DETAILS] if isinstance(details, list) else ():
        delay = each.get("retryDelay") if isinstance(each, dict) else None
        if isinstance(delay, str) and (seconds := wait_of(delay)) is not None:
            return seconds
    return None


def _messages(error: dict[Any, Any], depth: int) -> Iterator[str]:
    for name in ("message", "msg", "detail", "error", "error_description", "reason"):
        text = error.get(name)
        if isinstance(text, str) and text.strip():
            # Where a validation error is, and what, but not its `input`: that is the prompt.
            place = error.get("loc")
            names = place[1:] if isinstance(place, list) else []
            yield ": ".join([".".join(map(str, names)), text] if names else [text])
            break
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if isinstance(raw, str):
        with suppress(ValueError, RecursionError):  # or it is the text itself
            raw = msgspec.json.decode(raw)
    if behind := _read(raw, depth - 1).message:
        yield behind


def _is_code(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(value)
