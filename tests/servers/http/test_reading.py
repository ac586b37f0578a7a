"""What stands in requests."""

from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from trio_agent.servers._shared.problem import Problem
from trio_agent.servers.http._reading import body_of, limit_in, number_in

JSON = "application/json"
decode = msgspec.json.Decoder(list[int]).decode


def request(*, body: bytes = b"", media_type: str | None = None, query: str = "") -> Request:
    headers = [] if media_type is None else [(b"content-type", media_type.encode())]

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    scope = {"type": "http", "headers": headers, "query_string": query.encode()}
    return Request(scope, receive)


@pytest.mark.parametrize("media_type", [JSON, "Application/JSON; charset=utf-8", f" {JSON} ;"])
async def test_bodies(media_type: str) -> None:
    assert await body_of(request(body=b"[1]", media_type=media_type), decode) == [1]


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        (b"[1]", None, 415, "not-json"),
        (b"[1]", "text/json", 415, "not-json"),
        (b"[1", JSON, 400, "bad-request"),
        (b'["x"]', JSON, 400, "bad-request"),
        (b"\xff", JSON, 400, "bad-request"),
        (b"[" * 100_000, JSON, 400, "bad-request"),
    ],
    ids=["none", "another", "cut", "wrong", "bytes", "deep"],
)
async def test_what_is_no_body(body: bytes, media_type: str | None, status: int, code: str) -> None:
    with pytest.raises(Problem) as caught:
        await body_of(request(body=body, media_type=media_type), decode)
    assert (caught.value.status, caught.value.code) == (status, code)


@pytest.mark.parametrize(("query", "number"), [("", 7), ("n=1", 1), ("n=09", 9), ("n=9", 9)])
def test_numbers(query: str, number: int) -> None:
    assert number_in(request(query=query), "n", default=7, least=1, most=9) == number


@pytest.mark.parametrize("text", ["", "0", "10", "-1", "1.0", "x", "\N{SUPERSCRIPT TWO}"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(Problem) as caught:
        number_in(request(query=f"n={text}"), "n", default=7, least=1, most=9)
    assert caught.value.message == "n is a number from 1 to 9"


def test_how_much_a_page_has() -> None:
    assert [limit_in(request(query=query)) for query in ("", "limit=500")] == [50, 500]
    with pytest.raises(Problem, match="limit is a number from 1 to 500"):
        limit_in(request(query="limit=501"))
