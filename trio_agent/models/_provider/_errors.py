"""What a provider says when it fails. Performs no I/O, reads no clock."""

import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import msgspec

from ..._errors import ModelError
from ..._http.words import MAX_WORDS, clean
from ._complaint import Complaint, complaint, complaint_in
from ._retry_after import longest, wait_in_headers, wait_in_words

_MAX_READ = 4 * MAX_WORDS
"""Characters of a text that count, so that a long one costs no time."""

_RETRYABLE = frozenset({408, 409, 425, 429})
_HINTS = {
    "auth": "the provider refused the API key",
    "not-found": "the provider does not know this model or URL",
    "rate-limit": "the provider's limit is reached",
    "context-length": "the messages are longer than the model accepts",
    "bad-request": "the provider refused the request",
    "content-filter": "the provider's filter refused the messages",
    "provider-error": "the provider failed",
    "bad-response": "the URL is no endpoint for conversations",
}

_TOO_LONG = re.compile(
    r"(?i)context.?length.?exceeded|exceeds?.(the.available.)?context.(size|limit|length|window)"
    r"|maximum (context|prompt|model) length|range of input length"
    r"|(prompt|input) is too long|prompt token count.{1,40}exceeds the limit"
    r"|exceeds? (the )?max(imum)? (context |model |prompt |input )?length"
    r"|longer than the maximum|inputs?.? tokens \+ .?max_new_tokens"
    r"|reduce the length of the (messages|prompt|input)"
)
"""What some say with status 500; asking again would only cost."""
_CONTEXT_LENGTH = re.compile(
    r"(?i)context[ _-]?(length|window|size)|too many (input )?tokens"
    r"|exceeds? the (maximum|available|model's).*(context|tokens)"
    r"|exceed\w*.{1,20}token.limit|token.limit.{1,20}exceeded"
)
_RATE_LIMIT = re.compile(r"(?i)rate.?limit|too.?many.?requests|throttl|resource.?exhausted")
_SPENT = re.compile(r"(?i)insufficient.?(quota|balance|credit)|billing")
_FILTERED = re.compile(
    r"(?i)content.?filter|content.?policy|responsible.?ai.?policy|invalid.?prompt"
    r"|bio.?policy|policy.?violation|data.?inspection.?failed"
)
"""A prompt that is refused for what it says. Sources: Azure's "Content filtering", the codes of
OpenAI's `response.error` (`invalid_prompt`, `image_content_policy_violation`), DashScope's "Error
codes"."""
_FILTERED_WORDS = re.compile(r"(?i)blocked by (our )?content filtering policy")
"""Anthropic, which has no code for it."""
_AUTH = re.compile(r"(?i)auth|api.?key|permission|forbidden|access.?denied")
_KEY = re.compile(
    r"(?i)(?<![a-z])(api)?keys?(?![a-z])|auth(?!ors?\b)|credential|permission"
    r"|(access|bearer|api|invalid|expired).?token"
)
_BAD_KEY = re.compile(
    r"(?i)api.?key.{0,20}(not valid|invalid|expired|incorrect|missing|not found)"
    r"|(invalid|incorrect|expired|missing|no) api.?key"
)
_SSE_DATA = re.compile(r"^data:[ \t]*(?=[\[{])(.*)$", re.MULTILINE)
_NOT_FOUND = re.compile(r"(?i)not.?found")
_FAILURE = re.compile(r"(?i)server|overload|unavailable|internal|time.?out|api.?error")
_REQUEST = re.compile(r"(?i)invalid|bad.?request|unsupported|validation|too.?large")
_OVERLOADED = re.compile(r"(?i)overloaded|temporarily unavailable|try again")


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
    value = _json_or_text(body)
    asked = wait_in_headers(headers, now)
    said = complaint(value)
    if status < 400 and (told := complaint_in(value)):
        # Some gateways answer 200 whatever happens.
        error = provider_error(told, secret=secret)
        error.retry_after = longest(error.retry_after, asked)
        return error
    name, retryable = _judge(said, status)
    hint = _HINTS[name]
    if status == 403 and not _KEY.search(f"{said.code} {said.type} {said.message}"[:_MAX_READ]):
        hint = _HINTS["bad-request"]  # a country, a model that isn't open to all, a firewall
    text = f"{hint} (HTTP {_phrase(status)})"
    if said.message:
        text += f": {clean(said.message, secret=secret)}"
    return ModelError(name, text, retryable=retryable, retry_after=longest(asked, _wait(said)))


def provider_error(error: Complaint, *, secret: str = "") -> ModelError:
    """Name what an error within an answer that began with status 200 means."""
    name, retryable = _judge(error, error.status)
    message = clean(error.message, secret=secret)
    if not message:
        message = "the provider reported an error without a message"
        if error.code or error.type:
            message += f" ({clean(f'{error.code} {error.type}', limit=80, secret=secret)})"
    return ModelError(name, message, retryable=retryable, retry_after=_wait(error))


def bad_response(message: str) -> ModelError:
    """Say that an answer can't be understood."""
    return ModelError("bad-response", message)


def _wait(said: Complaint) -> float | None:
    return longest(said.retry_after, wait_in_words(said.message[:_MAX_READ]))


def _judge(said: Complaint, status: int | None) -> tuple[str, bool]:
    """Return the code, and whether asking again may help."""
    words = f"{said.code} {said.type}"[:MAX_WORDS]
    message = said.message[:_MAX_READ]
    name = _name(status, words, message)
    if name == "rate-limit":
        # With 413, the request alone is too large for the limit; 402 wants to be paid.
        return name, status not in (402, 413) and not _SPENT.search(words)
    if name == "provider-error":
        passing = _FAILURE.search(words) or _OVERLOADED.search(message)
        return name, status is not None or bool(passing)
    return name, False


def _name(status: int | None, words: str, message: str) -> str:
    """The status tells, then codes and types in words, then the words for people."""
    if status in (401, 403):
        return "auth"
    if status == 404:
        return "not-found"
    if status in (402, 429):
        return "rate-limit"
    if status is not None and status < 400:
        return "bad-response"
    is_limited = _SPENT.search(words) or _RATE_LIMIT.search(words)
    if not is_limited and _TOO_LONG.search(f"{words} {message}"):
        return "context-length"
    if not is_limited and (_FILTERED.search(words) or _FILTERED_WORDS.search(message)):
        return "content-filter"
    if status is not None and (status in _RETRYABLE or 500 <= status < 600):
        return "provider-error"
    if is_limited:
        return "rate-limit"
    if _CONTEXT_LENGTH.search(f"{words} {message}"):
        return "context-length"
    if _BAD_KEY.search(f"{words} {message}"):
        return "auth"  # Gemini says it with 400
    if status is not None:
        return "bad-request"
    if _AUTH.search(words):
        return "auth"
    if _NOT_FOUND.search(words):
        return "not-found"
    if not _FAILURE.search(words) and _REQUEST.search(words):
        return "bad-request"
    return "rate-limit" if _RATE_LIMIT.search(message) else "provider-error"


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
        if data := _SSE_DATA.search(text):
            with suppress(ValueError, RecursionError):
                return msgspec.json.decode(data[1])
        return "" if text.startswith("<") else text  # a proxy's HTML page helps nobody
