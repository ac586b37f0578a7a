"""When a request can't have thinking, although its options ask for it. Pure.

Manual thinking (`"enabled"`) demands that the assistant's turn begins with a thinking block. All
answers of one tool loop are one turn; if it was begun without thinking, or by a model whose
thinking nobody else can read, the API refuses to go on with it. Nor can a tool be forced.
Neither holds for adaptive thinking, which some models can't do without.

Source: Anthropic's documentation, "Extended thinking" (with tool use) and "Thinking in tool and
multi-turn workflows"; the API's refusal, "Expected `thinking` or `redacted_thinking`, but found
`tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking
block".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ._kept import is_thought

OFF: Final = {"type": "disabled"}


def is_manual(thinking: Any) -> bool:
    """Whether the option asks for thinking with a budget."""
    return isinstance(thinking, Mapping) and thinking.get("type") == "enabled"


def budget_of(thinking: Any) -> int:
    """Return how many tokens of an answer are for manual thinking."""
    budget = thinking.get("budget_tokens") if is_manual(thinking) else None
    return budget if isinstance(budget, int) else 0


def is_off(thinking: Any) -> bool:
    """Whether the option turns thinking off."""
    return isinstance(thinking, Mapping) and thinking.get("type") == "disabled"


def is_refused(body: Mapping[str, Any]) -> bool:
    """Whether the API would refuse a request for the thinking that it asks for."""
    if not is_manual(body.get("thinking")):
        return False
    choice = body.get("tool_choice")
    is_forced = isinstance(choice, Mapping) and choice.get("type") in ("any", "tool")
    return is_forced or _lacks_thinking(body["messages"])


def _lacks_thinking(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the turn in progress, if there is one, was begun without thinking."""
    begin: Mapping[str, Any] | None = None
    for message in reversed(messages):
        if message["role"] == "assistant":
            begin = message
        elif not any(block["type"] == "tool_result" for block in message["content"]):
            break
    return begin is not None and not is_thought(begin["content"][0])
