"""What providers answer instead of an answer, as a ModelError."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from trio_agent._errors import ModelError
from trio_agent.models.openai._complaint import Complaint, complaint
from trio_agent.models.openai._errors import error_from_response, provider_error

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
        (400, {"error": {"type": "rate_limit_error"}}, "rate-limit", True),
        (400, {"error": {"code": "insufficient_quota"}}, "rate-limit", False),
        (422, {"detail": "exceeds the model's context"}, "context-length", False),
        # E11: this request alone is too large for the limit
        (413, {"error": {"message": "TPM", "code": "rate_limit_exceeded"}}, "rate-limit", False),
        (200, b"", "bad-response", False),
        (200, {"models": []}, "bad-response", False),
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
        ({"detail": [{"loc": ["body", "n"], "msg": "no", "input": "the prompt"}]}, ": n: no"),
        ([{"error": {"code": 400, "message": "no"}}], ": no"),
        ({"error": {"message": "a", "metadata": {"raw": '{"error": "no"}'}}}, ": a: no"),
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
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
        ({"retry-after": "Mon, 99 Jan 2023 00:00:00 GMT"}, None),
        ({"retry-after": "9" * 5000}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert error(429, b"", headers).retry_after == seconds


@pytest.mark.parametrize(
    ("said", "code", "retryable"),
    [
        (Complaint("no"), "provider-error", False),
        (Complaint("The engine is overloaded, try again"), "provider-error", True),
        (Complaint("Rate limit reached"), "rate-limit", True),
        (Complaint("prompt is too long: 9 tokens > 8 maximum"), "context-length", False),
        (Complaint("no", 400), "bad-request", False),
        (Complaint("This model's maximum context length is 8", 400), "context-length", False),
        (Complaint("no", 401), "auth", False),
        (Complaint("no", 404), "not-found", False),
        (Complaint("no", "429"), "rate-limit", True),
        (Complaint("no", "429", "insufficient_quota"), "rate-limit", False),
        (Complaint("no", 502), "provider-error", True),
        (Complaint("no", "529"), "provider-error", True),
        (Complaint("no", "rate_limit_exceeded"), "rate-limit", True),
        (Complaint("no", "insufficient_quota"), "rate-limit", False),
        (
            Complaint("no", "context_length_exceeded", "invalid_request_error"),
            "context-length",
            False,
        ),
        (Complaint("no", "invalid_api_key", "invalid_request_error"), "auth", False),
        (Complaint("no", "model_not_found", "invalid_request_error"), "not-found", False),
        (Complaint("no", type="server_error"), "provider-error", True),
        (Complaint("no", "invalid_response", "server_error"), "provider-error", True),
        (Complaint("no", type="overloaded_error"), "provider-error", True),
        (Complaint("no", type="rate_limit_error"), "rate-limit", True),
        (Complaint("no", type="authentication_error"), "auth", False),
        (Complaint("no", type="invalid_request_error"), "bad-request", False),
        (Complaint("no", type="BadRequestError"), "bad-request", False),
        (Complaint("no", type="InternalServerError"), "provider-error", True),
        (Complaint("no", type="RESOURCE_EXHAUSTED"), "rate-limit", True),
        (Complaint("no", type="UNAVAILABLE"), "provider-error", True),
        (Complaint("no", type="PERMISSION_DENIED"), "auth", False),
        (Complaint("no", 7, "odd"), "provider-error", False),
    ],
)
def test_errors_within_a_stream(said: Complaint, code: str, retryable: bool) -> None:
    result = provider_error(said)
    assert (result.code, result.message, result.retryable) == (code, said.message, retryable)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Complaint(), "the provider reported an error without a message"),
        (Complaint(code=7), "the provider reported an error without a message (7)"),
        (
            Complaint("\n", "*key*", "t"),
            "the provider reported an error without a message (*** t)",
        ),
        (Complaint("bad\n*key*"), "bad ***"),
    ],
)
def test_the_message_of_an_error_within_a_stream(said: Complaint, message: str) -> None:
    assert provider_error(said, secret="*key*").message == message


def test_an_error_with_status_200() -> None:  # E07, E17
    result = error(200, {"error": {"message": "Slow down", "type": "rate_limit_error"}})
    assert (result.code, result.message, result.retryable) == ("rate-limit", "Slow down", True)
    result = error(200, {"base_resp": {"status_code": 1004, "status_msg": "login sk-secret"}})
    assert (result.code, result.message, result.retryable) == ("auth", "login ***", False)


def test_a_long_message_costs_no_time() -> None:
    assert error(400, {"error": "exceeds the maximum " * 100_000}).code == "bad-request"


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
    assert isinstance(provider_error(complaint(value)), ModelError)


@given(st.binary())
def test_any_body_makes_an_error(body: bytes) -> None:
    assert isinstance(error(400, body), ModelError)
