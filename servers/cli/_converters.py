"""From the texts of a command line to values."""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from trio_agent import CancelAfter, OnDisconnect

_UNITS: Final = {
    "": 1,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
    "K": 1 << 10,
    "M": 1 << 20,
    "G": 1 << 30,
}
_TIMES: Final = {"d": 86_400, "h": 3600}

T = TypeVar("T")


def _converter(what: str) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    def wrap(convert: Callable[[str], T]) -> Callable[[str], T]:
        def converter(text: str) -> T:
            try:
                return convert(text)
            except (ValueError, ArgumentTypeError):
                raise ArgumentTypeError(f"{text!r} is not {what}") from None

        return converter

    return wrap


@_converter("a port, 0 to 65535")
def port(text: str) -> int:
    """Convert a port."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


@_converter("a number of seconds")
def seconds(text: str) -> float:
    """Convert a time."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise ValueError
    return number


@_converter("a number of seconds, days (7d) or hours (12h), or inf")
def age(text: str) -> float:
    """Convert a time that may be long, or have no end."""
    if text.lower() == "inf":
        return math.inf
    unit = text[-1:]
    return seconds(text[:-1]) * _TIMES[unit] if unit in _TIMES else seconds(text)


@_converter("a number of seconds greater than 0")
def interval(text: str) -> float:
    """Convert the time between two things."""
    number = seconds(text)
    if not number:
        raise ValueError
    return number


@_converter("a path that begins with a slash")
def path(text: str) -> str:
    """Convert the path below which something is."""
    if text and not text.startswith("/"):
        raise ValueError
    return text.rstrip("/")


@_converter("a number of seconds, 1 at least")
def lease(text: str) -> float:
    """Convert the time that a claim holds."""
    number = seconds(text)
    if number < 1:
        raise ValueError
    return number


@_converter("a whole number from 1")
def count(text: str) -> int:
    """Convert a number of things."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


@_converter("a size such as 64MiB, 1024 bytes at least")
def size(text: str) -> int:
    """Convert a number of bytes."""
    digits = text.rstrip("KMGIBkmgib")
    number = int(digits) * _UNITS.get(text[len(digits) :].upper(), 0)
    if number < 1024:
        raise ValueError
    return number


@_converter("continue, cancel or a number of seconds")
def policy(text: str) -> OnDisconnect:
    """Convert what becomes of a run without viewers."""
    match text:
        case "continue" | "cancel":
            return text
    return CancelAfter(seconds(text))


@_converter("JSON: a text has quotes")
def json_value(text: str) -> object:
    """Convert a value of JSON."""
    return msgspec.json.decode(text)


def endpoint_url(text: str) -> str:
    """Check the URL of a model's endpoint."""
    return _url(text, ("http", "https"), "https://host/v1")


def server_url(text: str) -> str:
    """Check the URL of a server of ours."""
    return _url(text, ("http", "https", "ws", "wss"), "http://127.0.0.1:8000")


def _url(text: str, schemes: tuple[str, ...], example: str) -> str:
    try:
        parts = urlsplit(text)
        if parts.scheme in schemes and parts.hostname and parts.port != 0:
            return text
    except ValueError:
        pass
    # What was given is not repeated: it may hold a password.
    raise ArgumentTypeError(f"that is no URL such as {example}")
