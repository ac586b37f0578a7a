"""What an OpenAI-compatible provider says when it fails. Performs no I/O, reads no clock."""

import email.utils
import math
import re
from collections.abc import Mapping
from datetime import UTC
from http import HTTPStatus
from typing import Any

import msgspec

from ..._errors import ModelError

MAX_MESSAGE = 500

_RETRYABLE = frozenset({408, 409, 425, 429})
_RETRYABLE_TYPES = frozenset({"server_error", "overloaded_error", "rate_limit_error"})
_CONTEXT_LENGTH = re.compile(r"context[ _-](length|window|size)|prompt is too long", re.IGNORECASE)
_HINTS = {
    "auth": "the provider refused the API key",
    "not-found": "the provider does not know this model or URL",
    "rate-limit": "the provider's limit is reached",
    "context-length": "the messages are longer than the model accepts",
    "bad-request": "the provider refused the request",
    "provider-error": "the provider failed",
    "bad-response": "the URL is no chat completions endpoint",
}


def error_from_response(
    status: int, body: bytes, headers: Mapping[str, str], *, now: float, secret: str = ""
) -> ModelError:
    """Name what a response other than 200 means.

    Args:
        status: the HTTP status.
        body: the body, or its beginning.
        headers: with names in lower case, or case-insensitive.
        now: Unix time in seconds, for a `Retry-After` that is a date.
        secret: the API key; it is cut out of the provider's message.
    """
    message, code, _ = _describe(_json_or_text(body))
    name = _name(status, f"{code} {message}" if isinstance(code, str) else message)
    text = f"{_HINTS[name]} (HTTP {_phrase(status)})"
    if message:
        text += f": {clean(message, secret=secret)}"
    return ModelError(
        name,
        text,
        retryable=_retryable(status) and code != "insufficient_quota",
        retry_after=_retry_after(headers, now),
    )


def provider_error(error: Any, *, secret: str = "") -> ModelError:
    """Turn the error object of a stream that began well into a `provider-error`."""
    message, code, type_ = _describe(error)
    return ModelError(
        "provider-error",
        clean(message, secret=secret) or "the provider reported an error without a message",
        retryable=type_ in _RETRYABLE_TYPES or (isinstance(code, int) and _retryable(code)),
    )


def clean(text: str, *, limit: int = MAX_MESSAGE, secret: str = "") -> str:
    """Make a stranger's text fit for a log: one line, no control characters, no secret."""
    if secret:
        text = text.replace(secret, "***")
    text = "".join(char if char.isprintable() else " " for char in text[: 4 * limit])
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _name(status: int, text: str) -> str:
    if status in (401, 403):
        return "auth"
    if status == 404:
        return "not-found"
    if status == 429:
        return "rate-limit"
    if _retryable(status):
        return "provider-error"
    if status < 400:
        return "bad-response"
    return "context-length" if _CONTEXT_LENGTH.search(text) else "bad-request"


def _retryable(status: int) -> bool:
    return status in _RETRYABLE or 500 <= status < 600


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _json_or_text(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        return "" if text.startswith("<") else text  # a proxy's HTML page helps nobody


def _describe(error: Any) -> tuple[str, str | int, str]:
    """Find message, code and type: `error` is an object, or holds one as its "error", or is text.

    Lists of validation errors are passed over, because they repeat the prompt.
    """
    if isinstance(error, dict) and error.get("error") is not None:
        error = error["error"]
    if isinstance(error, str):
        return error, "", ""
    if not isinstance(error, dict):
        return "", "", ""
    message = error.get("message") or error.get("detail")
    code = error.get("code")
    type_ = error.get("type")
    return (
        message if isinstance(message, str) else "",
        code if isinstance(code, str | int) else "",
        type_ if isinstance(type_, str) else "",
    )


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return seconds. Source: RFC 9110, section 10.2.3; `retry-after-ms` is OpenAI's own."""
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:  # HTTP dates are UTC, however they spell it
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
