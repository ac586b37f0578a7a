"""What a provider said and wants back in a tool loop. Performs no I/O.

The rules are those of three providers. DeepSeek wants the reasoning of each answer that called a
tool, from then on. Google wants the signature of the first call of each answer since the last user
message, and OpenRouter (for Anthropic's models) the blocks of reasoning. What was said under ids
that come back must come back as it was.

Sources: DeepSeek's guide "Thinking Mode", Google's "Thought signatures", OpenRouter's "Reasoning
Tokens", and the APIs' own errors.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, TypeAlias

import attrs

from ..wire._sse import SSEDecoder
from ._scripted_server import Answer, RecordedRequest, Script, Status, Step

WantsBack: TypeAlias = Literal["reasoning_content", "thought_signature", "reasoning_details"]


@attrs.define
class _Said:
    """One answer."""

    data: list[bytes] = attrs.field(factory=list)

    def deltas(self) -> Iterator[dict[str, Any]]:
        for event in SSEDecoder().feed(b"".join(self.data)):
            if event.data.startswith("{"):
                for choice in json.loads(event.data).get("choices", ()):
                    yield choice.get("delta", {})

    def calls(self) -> dict[str, Any]:
        """The ids of the calls, and what stood beside them."""
        calls: dict[str, Any] = {}
        for delta in self.deltas():
            for call in delta.get("tool_calls", ()):
                if id_ := call.get("id"):
                    calls[id_] = call.get("extra_content")
        return calls

    def reasoning(self) -> str | None:
        said = [each["reasoning_content"] for each in self.deltas() if "reasoning_content" in each]
        return "".join(said) if said else None

    def details(self) -> list[Any]:
        blocks: dict[tuple[Any, Any], dict[str, Any]] = {}
        for delta in self.deltas():
            for detail in delta.get("reasoning_details", ()):
                block = blocks.setdefault((detail.get("type"), detail.get("index")), {})
                text = block.get("text", "") + detail.get("text", "")
                block |= detail
                if text:
                    block["text"] = text
        return [*blocks.values()]


class Memory:
    """Listens to a script, and refuses what forgets it.

    Args:
        wants_back: what.
    """

    def __init__(self, wants_back: WantsBack) -> None:
        self._fault: Callable[[dict[str, Any], _Said | None], str | None] = {
            "reasoning_content": _deepseek_fault,
            "thought_signature": _google_fault,
            "reasoning_details": _openrouter_fault,
        }[wants_back]
        self._always = wants_back == "reasoning_content"
        self._said: list[_Said] = []

    def listen(self, script: Script) -> Iterator[Callable[[RecordedRequest], Answer]]:
        """Give a script on."""
        for answer in script:
            yield partial(self._hear, answer)

    def _hear(
        self, answer: Answer | Callable[[RecordedRequest], Answer], request: RecordedRequest
    ) -> Answer:
        said = _Said()
        self._said.append(said)

        def hear(step: Step) -> Step:
            if isinstance(step, bytes):
                said.data.append(step)
            elif not (isinstance(step, Status) or callable(step)):
                return (hear(part) for part in step)
            return step

        return (hear(step) for step in (answer(request) if callable(answer) else answer))

    def refusal_of(self, messages: list[dict[str, Any]]) -> str | None:
        """Say why messages are refused; None if they aren't."""
        turn = max((n for n, each in enumerate(messages) if each["role"] == "user"), default=0)
        for number, message in enumerate(messages):
            if message.get("tool_calls") and (self._always or number > turn):
                ids = [call["id"] for call in message["tool_calls"]]
                said = next((each for each in self._said if [*each.calls()] == ids), None)
                if fault := self._fault(message, said):
                    return fault.format(number)
        return None


def _deepseek_fault(message: dict[str, Any], said: _Said | None) -> str | None:
    reasoning = message.get("reasoning_content")
    if said is not None and said.reasoning() is None:
        return None
    if reasoning is None:
        return "Missing `reasoning_content` field in the assistant message at message index {}."
    if said is not None and reasoning != said.reasoning():
        return "The `reasoning_content` in the thinking mode must be passed back to the API."
    return None


def _google_fault(message: dict[str, Any], said: _Said | None) -> str | None:
    extras = [call.get("extra_content") for call in message["tool_calls"]]
    if said is not None and extras == [*said.calls().values()]:
        return None
    if not extras[0]:
        return "Function call is missing a thought_signature in functionCall parts. (message {})"
    return None if said is None else "Thought signature is not valid. (message {})"


def _openrouter_fault(message: dict[str, Any], said: _Said | None) -> str | None:
    details = message.get("reasoning_details")
    if said is not None and (details or []) == said.details():
        return None
    if not details:
        return "messages.{}.content.0.type: Expected `thinking` or `redacted_thinking`."
    return (
        None if said is None else "messages.{}.content.0: Invalid `signature` in `thinking` block"
    )
