"""What providers say when a model finishes."""

import pytest

from trio_agent._errors import ModelError
from trio_agent.models._provider._finish_reason import end_of, finish_reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stop", "stop"), ("STOP", "stop"), ("eos", "stop"), ("end_turn", "stop"),
        ("stop_sequence", "stop"), ("COMPLETE", "stop"),
        ("length", "length"), ("max_tokens", "length"), ("MAX_TOKENS", "length"),
        ("model_length", "length"), ("model_context_window_exceeded", "length"),
        ("tool_calls", "tool-calls"), ("tool-calls", "tool-calls"), ("tool_use", "tool-calls"),
        ("function_call", "tool-calls"), ("TOOL_CALL", "tool-calls"),
        ("content_filter", "content-filter"), ("content-filter", "content-filter"),
        ("SAFETY", "content-filter"), ("sensitive", "content-filter"),
        ("guardrail_intervened", "content-filter"), ("refusal", "content-filter"),
        ("error", "failed"), ("insufficient_system_resource", "failed"),
        ("network_error", "failed"), ("MALFORMED_FUNCTION_CALL", "failed"), ("abort", "failed"),
        ("function_call_filter: MALFORMED_FUNCTION_CALL", "failed"),
        ("content_filter: PROHIBITED_CONTENT", "content-filter"), ("repetition", "length"),
        ("maximum_tokens", "length"), ("truncated", "length"), ("blacklist", "content-filter"),
        ("because", "unknown"), ("7", "unknown"),
        ("", None), (" ", None), ("null", None), ("None", None), ("not_finished", None),
        ("FINISH_REASON_UNSPECIFIED", None),
    ],
)  # fmt: skip
def test_finish_reasons(name: str, reason: str | None) -> None:
    assert finish_reason(name) == reason


def test_an_end_that_is_none() -> None:
    assert end_of("stop") == "stop"
    assert end_of("") is None
    with pytest.raises(ModelError, match="broke the answer off: error") as caught:
        end_of("error: sk-1", secret="sk-1")
    assert (caught.value.code, caught.value.retryable) == ("provider-error", True)
    assert "sk-1" not in str(caught.value)
