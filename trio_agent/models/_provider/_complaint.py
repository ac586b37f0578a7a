"""What a provider complains about, in whichever of the many shapes it writes that.

Seen: `{"error": {"message", "type", "code"}}` (OpenAI), the same in a list (Google), an error that
is text, `{"object": "error", ...}` (vLLM, Mistral), `{"type": "error", "error": ...}` (Anthropic),
`{"detail": ...}` and lists of validation errors (FastAPI), `metadata.raw` with the words of a
provider behind the provider (OpenRouter), `base_resp` (MiniMax); no `error` at all, but `code` and
`message` (DashScope, Spark), `error_code` and `error_msg` (Qianfan), `success`, `fault` (Apigee),
`Response.Error` and `ErrorMsg` (Hunyuan), fields with their errors (ASP.NET). How a name is spelt,
`error_msg` or `errorMsg`, makes no difference. Performs no I/O.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import attrs
import msgspec

from ._retry_after import wait_of

_MAX_DEPTH = 4
_MAX_ITEMS = 3
_MAX_DETAILS = 16

_MINIMAX = {1001: 504, 1002: 429, 1004: 401, 1008: 402, 1013: 500, 1039: 429, 2013: 400, 2049: 401}
"""Its codes, as HTTP would say it. Source: MiniMax's API reference, "Error codes"."""

_ERRORS = ("error", "errors", "errormsg", "fault", "detail", "message", "response")
_MESSAGES = ("message", "msg", "detail", "error", "errordescription", "reason", "errormessage",
             "errormsg", "faultstring", "title")  # fmt: skip
_CODES = ("code", "errorcode", "statuscode", "status")
_NO_ERROR = frozenset({"0", "200", "ok", "success"})
_SUCCESS = re.compile(r"\W*(success|succeeded|ok|no error)\W*", re.IGNORECASE)
_FAILED = frozenset({"error", "fail", "failed", "failure"})


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


def complaint_in(value: Any, event: str | None = None) -> Complaint:
    """Read what came in the place of an answer; false if that doesn't say that it is an error.

    Args:
        value: JSON.
        event: the type of the server-sent event that it came in, None if it is a whole body.
    """
    if isinstance(value, list):
        items = (item for item in value[:_MAX_ITEMS] if isinstance(item, dict))
        found = (complaint_in(item, event) for item in items)
        return next((each for each in found if each), Complaint())
    if not isinstance(value, dict):
        return Complaint()
    names = _folded(value)
    choices = names.get("choices")
    places = (value, names.get("response"), *(choices if isinstance(choices, list) else ()))
    for place in places:
        if isinstance(place, dict) and _has_error(_folded(place)):
            return complaint(place)
    base = names.get("baseresp")
    if isinstance(base, dict) and base.get("status_code"):
        code = base["status_code"]
        code = _MINIMAX.get(code, code) if isinstance(code, int) else code
        return complaint({"code": code, "message": base.get("status_msg")})
    if choices:
        return Complaint()
    said = complaint(value)
    is_error = (
        "error" in (event, names.get("object"), names.get("type"))
        or bool(names.get("errors"))
        or said.status is not None
        or _is_told_by_detail(names.get("detail"), event)
        or (bool(said.message) and not names.get("usage") and _has_sign(names))
    )
    return said if is_error else Complaint()


def _has_error(names: dict[str, Any]) -> bool:
    return bool(
        complaint(names.get("error"))
        or any(isinstance(names.get(name), dict) and names[name] for name in ("errormsg", "fault"))
    )


def _is_told_by_detail(detail: Any, event: str | None) -> bool:
    """Within a stream, text of that name may be news about the work, such as `position 3`."""
    return bool(detail) and (event is None or not isinstance(detail, str))


def _has_sign(names: dict[str, Any]) -> bool:
    """Whether something beside the message says that it is an error's."""
    return (
        names.get("success") is False
        or names.get("error") is True
        or _is_code(names.get("code"))
        or _is_code(names.get("errorcode"))
        or str(names.get("status")).lower() in _FAILED
    )


def _folded(value: dict[str, Any]) -> dict[str, Any]:
    """The same, by names in lower case without underscores."""
    return {name.lower().replace("_", ""): value[name] for name in reversed(value)}


def _read(error: Any, depth: int) -> Complaint:
    if isinstance(error, str):
        return Complaint(error.strip())
    if isinstance(error, list):
        read = [_read(item, depth - 1) for item in error[:_MAX_ITEMS]] if depth else []
        first = next((each for each in read if each), Complaint())
        return attrs.evolve(first, message="; ".join(each.message for each in read if each.message))
    if not isinstance(error, dict) or not depth:
        return Complaint(code=error) if _is_code(error) else Complaint()
    names = _folded(error)
    inner = Complaint()
    for name in _ERRORS:
        if isinstance(names.get(name), dict | list) and not inner:
            inner = _read(names[name], depth - 1)
    fields = names.get("errors")
    if isinstance(fields, dict) and not inner:
        inner = Complaint("; ".join(_of_fields(fields, depth - 1)))
    types = (names.get("type"), names.get("status"))
    said = Complaint(
        inner.message or ": ".join(_messages(names, depth)),
        inner.code or next((names[n] for n in _CODES if _is_code(names.get(n))), ""),
        inner.type or next((each for each in types if isinstance(each, str)), ""),
        _retry_after(names) if inner.retry_after is None else inner.retry_after,
    )
    return Complaint() if _SUCCESS.fullmatch(said.message) and not said.code else said


def _of_fields(fields: dict[str, Any], depth: int) -> Iterator[str]:
    for name, texts in islice(fields.items(), _MAX_ITEMS):
        if message := _read(texts, depth).message:
            yield f"{name}: {message}"


def _retry_after(error: dict[Any, Any]) -> float | None:
    """Source: google.rpc.RetryInfo, in the `details` of a google.rpc.Status."""
    details = error.get("details")
    for each in details[:_MAX_DETAILS] if isinstance(details, list) else ():
        delay = each.get("retryDelay") if isinstance(each, dict) else None
        if isinstance(delay, str) and (seconds := wait_of(delay)) is not None:
            return seconds
    return None


def _messages(error: dict[Any, Any], depth: int) -> Iterator[str]:
    for name in _MESSAGES:
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
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    return bool(value) and str(value).lower() not in _NO_ERROR
