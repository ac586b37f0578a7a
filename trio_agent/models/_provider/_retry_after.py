"""How long a provider asks to wait, wherever it says so: in headers, in the body, in words.

The largest counts: who asks earlier than any of them said is only refused again. What is no time
is as if it weren't there. Reads no clock.
"""

import email.utils
import math
import re
from collections.abc import Mapping
from datetime import UTC

_UNITS = {"ms": 0.001, "milli": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
"""Seconds, by how the unit begins: the first that fits."""
_UNIT = r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)(?![a-z])"
_PART = re.compile(rf"(\d{{1,9}}(?:\.\d{{1,12}})?)\s?({_UNIT})", re.IGNORECASE)
_TIME = rf"(?:\d{{1,9}}(?:\.\d{{1,12}})?\s?{_UNIT}\s?){{1,4}}"
_WHOLE = re.compile(rf"\s*{_TIME}\s*", re.IGNORECASE)
_WORDS = re.compile(
    rf"\b(?:again|retry|retrying|wait|resets?)\b[^\d.\n]{{0,30}}?\b({_TIME})", re.IGNORECASE
)
"""`Please try again in 6m0s`, `Please retry after 20 seconds`."""


def longest(*waits: float | None) -> float | None:
    """Return the longest wait that was asked for, if any was."""
    return max((wait for wait in waits if wait is not None), default=None)


def wait_in_headers(headers: Mapping[str, str], now: float) -> float | None:
    """Return seconds.

    Source: RFC 9110, section 10.2.3; `retry-after-ms` is OpenAI's own, and `3s` is no HTTP.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is None:
        seconds = wait_of(value)
    return longest(
        None if milliseconds is None else milliseconds / 1000,
        _until(value, now) if seconds is None else seconds,
    )


def wait_in_words(text: str) -> float | None:
    """Return the seconds that a sentence asks to wait."""
    found = _WORDS.search(text)
    return wait_of(found[1]) if found else None


def wait_of(text: str) -> float | None:
    """Return the seconds of a duration such as `45.8s`, `350ms` or `1m2.5s`."""
    if not _WHOLE.fullmatch(text):
        return None
    return sum(float(number) * _seconds(unit.lower()) for number, unit in _PART.findall(text))


def _seconds(unit: str) -> float:
    return next(seconds for begin, seconds in _UNITS.items() if unit.startswith(begin))


def _until(date: str, now: float) -> float | None:
    try:
        when = email.utils.parsedate_to_datetime(date)
        if when.tzinfo is None:  # HTTP dates are UTC, however they spell it
            when = when.replace(tzinfo=UTC)
        return max(0.0, when.timestamp() - now)
    except (ValueError, TypeError, OverflowError):  # no date, or none that a clock knows
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
