"""What providers answer instead of an answer, as a ModelError."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from trio_agent._errors import ModelError
from trio_agent.models._provider._complaint import Complaint, complaint
from trio_agent.models._provider._errors import error_from_response, provider_error

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
        (402, b"", "rate-limit", False),
        (402, {"error": {"message": "Insufficient Balance"}}, "rate-limit", False),
        (400, {"error": {"code": "content_filter", "status": 400}}, "content-filter", False),
        (400, {"error": {"code": "invalid_prompt"}}, "content-filter", False),
        (400, {"error": {"code": "image_content_policy_violation"}}, "content-filter", False),
        (400, {"code": "DataInspectionFailed"}, "content-filter", False),
        (
            400,
            {"error": {"message": "Output blocked by content filtering policy"}},
            "content-filter",
            False,
        ),
        (429, {"error": {"code": "content_filter"}}, "rate-limit", True),
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
    ("body", "is_key"),
    [
        (b"", False),
        ({"error": {"message": "Country, region, or territory not supported"}}, False),
        ({"error": {"message": "the author of this monkey sent too many tokens"}}, False),
        (b"<html>Cloudflare</html>", False),
        ({"error": {"message": "Your API key is invalid"}}, True),
        ({"error": {"message": "no", "status": "PERMISSION_DENIED"}}, True),
        ({"error": {"message": "no", "code": "invalid_api_key"}}, True),
        ({"message": "Not authorized"}, True),
        ({"message": "bad credentials"}, True),
        ({"message": "The access token has expired"}, True),
    ],
)
def test_a_403_is_the_keys_fault_only_where_it_says_so(body: Any, is_key: bool) -> None:
    result = error(403, body)
    what = "API key" if is_key else "request"
    assert (result.code, result.retryable) == ("auth", False)
    assert result.message.startswith(f"the provider refused the {what} (HTTP 403 Forbidden)")


def test_a_key_that_is_refused_as_a_bad_request() -> None:
    said = {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
    }
    assert error(400, [{"error": said}]).code == "auth"
    assert error(400, [{"error": said}]).message.startswith("the provider refused the API key")
    assert provider_error(complaint(said)).code == "auth"
    assert error(400, {"error": "functions need a key"}).code == "bad-request"


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"error": {"message": "no", "code": "insufficient_quota"}}',
        b'event: error\r\ndata:{"error": {"message": "no", "code": "insufficient_quota"}}\r\n\r\n',
        b': x\ndata: {"error": {"message": "no", "code": "insufficient_quota"}}\n\ndata: [DONE]',
    ],
)
def test_an_error_response_that_is_written_as_a_stream(body: bytes) -> None:
    result = error(429, body)
    assert (result.code, result.retryable) == ("rate-limit", False)
    assert result.message.endswith(": no")


@pytest.mark.parametrize(
    "message",
    [
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 98304]",
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens",
        "prompt token count of 140000 exceeds the limit of 128000",
        "Prompt exceeds max length",
        "The prompt (total length 5000) is longer than the maximum model length of 4096",
        "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
        "inputs tokens + max_new_tokens must be <= 4096",
        "The input exceeds the maximum length",
        "Please reduce the length of the messages or completion",
        "the request exceeds the available context size. try increasing it",
        "prompt is too long: 9 tokens > 8 maximum",
    ],
)
def test_messages_that_are_too_long(message: str) -> None:
    for status in (400, 413, 422, 500, 503):
        result = error(status, {"error": {"message": message}})
        assert (result.code, result.retryable) == ("context-length", False)
        result = provider_error(Complaint(message, status))
        assert (result.code, result.retryable) == ("context-length", False)
    assert provider_error(Complaint(message)).code == "context-length"
    assert provider_error(Complaint(message, "1261", "server_error")).code == "context-length"
    assert error(429, {"error": {"message": message}}).code == "rate-limit"
    assert provider_error(Complaint(message, "rate_limit_exceeded")).code == "rate-limit"


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported parameter: 'token_limit'",
        "Unknown name token_limit",
        "messages: at least one is required",
        "prompt is required",
    ],
)
def test_other_messages_are_not_too_long(message: str) -> None:
    assert error(400, {"error": {"message": message}}).code == "bad-request"


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


def in_details(*delays: Any) -> Any:
    details = [
        {"@type": "type.googleapis.com/google.rpc.Help"},
        *({"retryDelay": d} for d in delays),
    ]
    return [{"error": {"code": 429, "message": "no", "details": details}}]


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "7"}, b"", 7),
        ({}, in_details("45.8s"), 45.8),
        ({}, in_details(7, "soon", "3s"), 3),
        ({}, in_details(7), None),
        ({}, [{"error": {"message": "no", "details": "3s"}}], None),
        ({}, {"error": {"message": "Limit 3 / min. Please try again in 20s."}}, 20),
        ({"retry-after": "2"}, in_details("1s"), 2),
        ({"retry-after": "1"}, {"message": "try again in 350ms"}, 1),
        ({"retry-after": "soon"}, in_details("1s"), 1),
    ],
)
@pytest.mark.parametrize("status", [200, 429, 503])
def test_how_long_to_wait(status: int, headers: Any, body: Any, seconds: float | None) -> None:
    assert error(status, body, headers).retry_after == seconds


def test_how_long_to_wait_after_an_error_within_a_stream() -> None:
    assert provider_error(complaint(in_details("3s"))).retry_after == 3
    assert provider_error(Complaint("retry in 1m2.5s", 429)).retry_after == 62.5
    assert provider_error(Complaint("no", 429)).retry_after is None


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
