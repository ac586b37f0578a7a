"""What stands in requests: bodies of JSON, and numbers in a query."""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from .._shared.problem import Problem

_T = TypeVar("_T")

_PAGE: Final = 50
_MAX_PAGE: Final = 500
"""What a page of a list has at most, if nothing is said and at all."""


async def body_of(request: Request, decode: Callable[[bytes], _T]) -> _T:
    """Read a body of JSON. No checkpoint: it is there.

    Raises:
        Problem: it is something else.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(415, "not-json", "send the body as application/json")
    try:
        return decode(await request.body())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise Problem(400, "bad-request", str(exc)) from None


def number_in(request: Request, name: str, *, default: int, least: int = 0, most: int) -> int:
    """Return a number of the query.

    Raises:
        Problem: it is none, or out of bounds.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and least <= int(text) <= most):
        raise Problem(400, "bad-request", f"{name} is a number from {least} to {most}")
    return int(text)


def limit_in(request: Request) -> int:
    """Return how much a page of a list is to have.

    Raises:
        Problem: it is no number, or out of bounds.
    """
    return number_in(request, "limit", default=_PAGE, least=1, most=_MAX_PAGE)
