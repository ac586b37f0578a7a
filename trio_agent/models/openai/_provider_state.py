"""What a provider wants back with an answer, beside what was said in it.

The rules. What the transcript knows is not kept again: of the reasoning only the name under which
it came. What is signed or sealed goes back unmodified, and only if the answer still has the calls
that it had. A call is known by its place, since ids may be given anew.

When reasoning goes back as text is a matter of turns, from one user message to the next. DeepSeek
wants it with all of a turn in which tools were called, in each request from then on, and refuses
others (400); of other turns it ignores it, and its older models refused it there. So do vLLM's
templates. What is signed, and what comes as parts of the content, goes back always. What another
model said in such a turn gets an empty `reasoning_content` where the endpoint has sent any itself:
DeepSeek takes that, and refuses a message without.

Sources: DeepSeek's guide "Thinking Mode" (and continue#10193, opencode#24722; pi#3659 for the
empty one); Kimi's "Use Kimi K2 Thinking" and Mistral's "Reasoning"; OpenRouter's "Reasoning
Tokens", section "Preserving reasoning"; Google's "Thought signatures"; opencode#8900 for Copilot's
`reasoning_opaque`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ..._log.plain import plain_json
from ..._messages import AnyMessage, AssistantMessage
from .._provider._json import parse_json
from ._chunk import REASONING_NAMES, Delta
from ._reasoning_details import ReasoningDetails

_MAX_KEPT: Final = 4 << 20
"""Bytes of what is signed or sealed. Rather none of it goes back than a part."""
_NAMES: Final = REASONING_NAMES[:-1]
_CONTENT: Final = REASONING_NAMES[-1]


class _Call(msgspec.Struct, omit_defaults=True):
    """One that has something to go back, or not."""

    name: str
    extra_content: Any = None


class _State(msgspec.Struct, omit_defaults=True):
    """As it is kept, in JSON."""

    reasoning: str = ""
    """The name of the field that it came in."""
    reasoning_details: list[Any] = []
    reasoning_opaque: str = ""
    extra_content: Any = None
    calls: list[_Call] | None = None
    """All of them, if anything is signed."""


class ProviderState:
    """Collects it from the deltas of one answer."""

    def __init__(self) -> None:
        self._state = _State()
        self._details = ReasoningDetails()
        self._has_reasoning = False
        self._size = 0
        self._is_lost = False
        """Whether something of what is signed can't be kept, so that none of it is worth it."""

    def feed(self, delta: Delta, reasoning: str | None) -> None:
        """Take what a delta has besides text and calls; `reasoning` is what it says of that."""
        state = self._state
        if reasoning:
            self._has_reasoning = True
        if not state.reasoning:
            told = (name for name in REASONING_NAMES if getattr(delta, name) is not None)
            name = next(told, "")
            # Of parts, only Mistral's are known to be taken back.
            state.reasoning = "" if name == _CONTENT and delta.part_type != "thinking" else name
        if delta.reasoning_details:
            details = self._read(delta.reasoning_details)
            self._details.feed(details if isinstance(details, list) else [])
        if delta.reasoning_opaque:
            self._size += len(delta.reasoning_opaque)
            state.reasoning_opaque = delta.reasoning_opaque
        if delta.extra_content and (signed := _signed(self._read(delta.extra_content))):
            state.extra_content = signed

    def finish(self, calls: Iterable[tuple[str, msgspec.Raw]]) -> dict[str, Any]:
        """Return what is to be kept, often nothing.

        Args:
            calls: the name of each call, and what stood beside it.
        """
        state = self._state
        state.reasoning_details = self._details.blocks
        kept = [_Call(name, self._read(extra)) for name, extra in calls]
        if not kept and not self._has_reasoning:
            state.reasoning = ""
        signed = state.reasoning_details or state.reasoning_opaque or state.extra_content
        if signed or any(call.extra_content is not None for call in kept):
            state.calls = kept
            try:
                if not self._is_lost and self._size <= _MAX_KEPT:
                    value: dict[str, Any] = plain_json(msgspec.to_builtins(state), "the state")
                    return value
            except ValueError:
                pass
        return {"reasoning": state.reasoning} if state.reasoning else {}

    def _read(self, raw: msgspec.Raw) -> Any:
        self._size += len(raw)
        if not raw or self._is_lost or self._size > _MAX_KEPT:
            return None
        try:
            return parse_json(bytes(raw).decode())
        except (ValueError, RecursionError):
            self._is_lost = True
            return None


def _signed(extra: Any) -> dict[str, Any]:
    """Return what of a message's own extras is signed; the rest only describes it."""
    if not isinstance(extra, dict):
        return {}
    return {
        vendor: {"thought_signature": value["thought_signature"]}
        for vendor, value in extra.items()
        if isinstance(value, dict) and value.get("thought_signature")
    }


def restore_state(
    encoded: dict[str, Any], message: AssistantMessage, origin: str, *, calling: bool
) -> None:
    """Put into an encoded message what its provider wants back with it.

    Args:
        encoded: the message as it goes out otherwise.
        message: what it was made of.
        origin: where it goes to. What others gave is nothing to it.
        calling: whether tools were called in the turn that the message belongs to.
    """
    state = _state_of(message, origin)
    if state is None:
        return
    if state.reasoning == _CONTENT and message.reasoning:
        encoded["content"] = _thinking_content(message)
    elif state.reasoning_details:
        encoded["reasoning_details"] = state.reasoning_details
    elif state.reasoning in _NAMES and calling:
        encoded[state.reasoning] = message.reasoning
    if state.reasoning_opaque:
        encoded["reasoning_opaque"] = state.reasoning_opaque
    if state.extra_content is not None:
        encoded["extra_content"] = state.extra_content
    for call, kept in zip(encoded.get("tool_calls", ()), state.calls or (), strict=False):
        if kept.extra_content is not None:
            call["extra_content"] = kept.extra_content


def wants_reasoning(messages: Iterable[AnyMessage], origin: str) -> bool:
    """Whether an endpoint has sent `reasoning_content` with any of these messages."""
    states = (_state_of(each, origin) for each in messages if isinstance(each, AssistantMessage))
    return any(state is not None and state.reasoning == _NAMES[0] for state in states)


def _state_of(message: AssistantMessage, origin: str) -> _State | None:
    value: Any = message.provider.get(origin)
    if not isinstance(value, Mapping):
        return None
    try:
        state = msgspec.convert(value, _State)
    except msgspec.ValidationError:
        return None  # that of another version
    called = [call.name for call in message.tool_calls]
    if state.calls is not None and [call.name for call in state.calls] != called:
        return None
    return state


def _thinking_content(message: AssistantMessage) -> list[dict[str, Any]]:
    thought = {"type": "text", "text": message.reasoning}
    parts: list[dict[str, Any]] = [{"type": "thinking", "thinking": [thought]}]
    if message.content:
        parts.append({"type": "text", "text": message.content})
    return parts
