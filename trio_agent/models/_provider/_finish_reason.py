"""What providers say when a model finishes, in our words.

Sources: the API references of OpenAI, Azure, Anthropic, Google, Mistral, Cohere, DeepSeek, Zhipu
and Amazon Bedrock, whose reasons gateways pass on as they are, and vLLM's source. Case and hyphens
don't matter, nor what Google says behind a colon (`function_call_filter: MALFORMED_FUNCTION_CALL`).
"""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from ..._errors import ModelError
from ..._http.words import clean

Reason: TypeAlias = Literal["stop", "length", "tool-calls", "content-filter", "failed", "unknown"]
"""`failed`: the provider broke the answer off. `unknown`: it finished, nobody knows why."""

_NONE = frozenset(
    {"", "null", "none", "unspecified", "finish_reason_unspecified", "not_finished", "in_progress"}
)

_REASONS: Mapping[Reason, str] = {
    "stop": "stop stop_sequence end end_turn eos eos_token complete completed finish finished",
    "length": "length max_tokens max_length max_output_tokens model_length token_limit"
    " model_context_window_exceeded error_limit repetition repetition_truncation",
    "tool-calls": "tool_calls tool_call tool_use function_call function_calls",
    "content-filter": "content_filter content_filtered safety image_safety recitation blocklist"
    " prohibited_content blacklist spii refusal sensitive guardrail_intervened error_toxic",
    "failed": "error failed abort aborted cancelled canceled timeout network_error server_error"
    " model_error overloaded insufficient_system_resource malformed_function_call"
    " malformed_response function_call_filter unexpected_tool_call",
}
_CUT = re.compile("max|limit|length|trunc|incomplete")
"""In the names of reasons that nobody has written down."""
_MEANINGS: Mapping[str, Reason] = {
    name: reason for reason, names in _REASONS.items() for name in names.split()
}


def end_of(name: str, *, secret: str = "") -> Reason | None:
    """Return what a reason means, if the provider did not break the answer off.

    Args:
        name: as the provider says it.
        secret: cut out of what is said of it.

    Raises:
        ModelError: `provider-error`: it did.
    """
    reason = finish_reason(name)
    if reason == "failed":
        said = clean(name, limit=40, secret=secret)
        message = f"the provider broke the answer off: {said}"
        raise ModelError("provider-error", message, retryable=True)
    return reason


def finish_reason(name: str) -> Reason | None:
    """What a provider's reason means; None if it says that the answer goes on."""
    name = name.partition(":")[0].strip().lower().replace("-", "_")
    if name in _NONE:
        return None
    return _MEANINGS.get(name, "length" if _CUT.search(name) else "unknown")
