"""How a response ended."""

from typing import Any

import pytest

from trio_agent._errors import ModelError
from trio_agent.models.openai_responses._ending import ENDINGS, ending_of
from trio_agent.models.openai_responses._event import Response


@pytest.mark.parametrize(
    ("status", "event", "reason", "ending"),
    [
        ("completed", "response.completed", None, "completed"),
        (None, "response.completed", None, "completed"),
        ("in_progress", "response.done", None, "completed"),
        ("completed", "", None, "completed"),
        ("", "response.completed", None, "completed"),
        ("eos", "response.completed", None, "completed"),
        ("incomplete", "response.completed", "max_output_tokens", "length"),
        (None, "response.incomplete", "max_tokens", "length"),
        ("incomplete", "", "content_filter", "content-filter"),
        ("Incomplete", "", None, "length"),
    ],
)
def test_endings(status: Any, event: str, reason: str | None, ending: str) -> None:
    details = {"reason": reason} if reason else None
    assert ending_of(Response(status=status, incomplete_details=details), event) == ending


@pytest.mark.parametrize("code", ["server_error", "rate_limit_exceeded", "vector_store_timeout"])
def test_failures_that_may_pass(code: str) -> None:
    with pytest.raises(ModelError, match="Oops") as info:
        ending_of(Response(error={"code": code, "message": "Oops"}), "response.failed")
    assert info.value.retryable


@pytest.mark.parametrize("code", ["invalid_prompt", "bio_policy", "invalid_image_url"])
def test_failures_that_stay(code: str) -> None:
    with pytest.raises(ModelError, match="Oops") as info:
        ending_of(Response(error={"code": code, "message": "Oops"}), "response.failed")
    assert not info.value.retryable


@pytest.mark.parametrize("event", ["response.failed", "response.cancelled", "response.canceled"])
def test_broken_off_without_a_word(event: str) -> None:
    with pytest.raises(ModelError, match=f"broke the answer off: {ENDINGS[event]}") as info:
        ending_of(Response(), event)
    assert (info.value.code, info.value.retryable) == ("provider-error", True)


@pytest.mark.parametrize("status", ["queued", "in_progress", None])
def test_what_has_not_ended(status: Any) -> None:
    with pytest.raises(ModelError, match="has not ended") as info:
        ending_of(Response(status=status), "")
    assert info.value.code == "bad-response"


def test_a_status_that_repeats_the_key_is_told_without_it() -> None:
    with pytest.raises(ModelError) as info:
        ending_of(Response(status="is sk-secret"), "", secret="sk-secret")
    assert "sk-secret" not in info.value.message
