"""What providers answer instead of an answer, as a ModelError."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from trio_agent._errors import ModelError
from trio_agent.models.openai._errors import clean, error_from_response, provider_error

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def error(status: int, body: Any = b"", headers: dict[str, str] | None = None) -> ModelError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_from_response(status, data, headers or {}, now=NOW, secret="sk-secret")


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (401, b"", "auth", False),
        (403, b"", "auth", False),
        (404, b"", "not-found", False),
        (400, b"", "bad-request", False),
        (422, b"", "bad-request", False),
        (400, {"error": {"code": "context_length_exceeded"}}, "context-length", False),
        (400, {"message": "This model's maximum context length is 8"}, "context-length", False),
        (413, {"error": "prompt is too long: 9 tokens"}, "context-length", False),
        (429, b"", "rate-limit", True),
        (429, {"error": {"code": "insufficient_quota"}}, "rate-limit", False),
        (408, b"", "provider-error", True),
        (409, b"", "provider-error", True),
        (425, b"", "provider-error", True),
        (500, {"error": {"message": "context length"}}, "provider-error", True),
        (503, b"", "provider-error", True),
        (529, b"", "provider-error", True),
        (200, b"", "bad-response", False),
        (302, b"", "bad-response", False),
    ],
)
def test_the_status_names_the_error(status: int, body: Any, code: str, retryable: bool) -> None:
    result = error(status, body)
    assert (result.code, result.retryable) == (code, retryable)
    assert str(status) in result.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "no"}}, ": no"),
        ({"error": "no"}, ": no"),
        ({"error": {"detail": "no"}}, ": no"),
        ({"object": "error", "message": "no", "code": 400}, ": no"),
        ({"detail": "no"}, ": no"),
        ("no", ": no"),
        (b"no\n way", ": no way"),
        (b"\xffno", ": \ufffdno"),
        ({"error": {"message": "bad key sk-secret\x1b[0m"}}, ": bad key *** [0m"),
        (b"<html>no</html>", ""),
        ({"detail": [{"input": "the prompt"}]}, ""),
        ({"error": {"message": 7}}, ""),
        ([], ""),
        (b"[" * 100_000, ": " + "[" * 499 + "…"),
    ],
)
def test_the_message_is_the_providers(body: Any, message: str) -> None:
    assert error(400, body).message == (
        f"the provider refused the request (HTTP 400 Bad Request){message}"
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 -0000"}, 10),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:10 GMT"}, 0),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert error(429, b"", headers).retry_after == seconds


@pytest.mark.parametrize(
    ("value", "message", "retryable"),
    [
        ({"message": "no"}, "no", False),
        ("no", "no", False),
        ({"message": "no", "type": "server_error"}, "no", True),
        ({"message": "no", "code": 502}, "no", True),
        ({"message": "no", "code": 400}, "no", False),
        ({"type": []}, "the provider reported an error without a message", False),
        (7, "the provider reported an error without a message", False),
    ],
)
def test_errors_within_a_stream(value: Any, message: str, retryable: bool) -> None:
    result = provider_error(value)
    assert (result.code, result.message, result.retryable) == ("provider-error", message, retryable)


@given(st.text(), st.integers(1, 20))
def test_a_clean_text_is_one_short_printable_line(text: str, limit: int) -> None:
    result = clean(text, limit=limit)
    assert len(result) <= limit
    assert result.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["error", "message", "code", "type", "detail"]), inner)
    ),
)


@given(JSON, st.integers(100, 999), st.text())
def test_any_response_makes_an_error(value: Any, status: int, header: str) -> None:
    assert isinstance(error(status, value, {"retry-after": header}), ModelError)
    assert isinstance(provider_error(value), ModelError)


@given(st.binary())
def test_any_body_makes_an_error(body: bytes) -> None:
    assert isinstance(error(400, body), ModelError)
