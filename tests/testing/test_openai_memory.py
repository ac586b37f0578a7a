"""What three providers want back, and how they say so."""

from collections.abc import Callable
from typing import Any

import pytest

from trio_agent.testing._openai_memory import Memory, WantsBack
from trio_agent.testing._scripted_server import Answer, RecordedRequest, Step, end, status
from trio_agent.testing.openai import finish, reasoning, reasoning_details, text, tool_call

HI = {"role": "user", "content": "Hi"}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "ok"}
SIGNED = {"google": {"thought_signature": "c2ln"}}
BLOCK = {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 0}
CALL = tool_call("a", "f")
SAID: dict[WantsBack, Answer] = {
    "reasoning_content": [reasoning("H"), [reasoning("m.")], CALL, finish("tool_calls")],
    "thought_signature": [tool_call("a", "f", thought_signature="c2ln"), finish()],
    "reasoning_details": [
        reasoning_details({"type": "reasoning.text", "text": "Hm", "index": 0}),
        reasoning_details({"type": "reasoning.text", "text": ".", "index": 0}),
        reasoning_details({"type": "reasoning.text", "signature": "c2ln", "index": 0}),
        CALL,
        finish(),
    ],
}


def play(steps: Any) -> None:
    for step in steps:
        if not (isinstance(step, bytes) or callable(step) or hasattr(step, "code")):
            play(step)


def refusal(wants_back: WantsBack, *messages: dict[str, Any], said: Answer | None = None) -> Any:
    """What a server says to these messages that has given the answer that it wants back."""
    memory = Memory(wants_back)
    request = RecordedRequest("POST", "/", {}, None)
    answer = SAID[wants_back] if said is None else said
    script: list[Answer | Callable[[RecordedRequest], Answer]] = [[text("Hi")], lambda _: answer]
    for each in memory.listen(script):
        play(each(request))
    return memory.refusal_of([*messages])


def asked(id_: str = "a", *, beside: Any = None, **fields: Any) -> dict[str, Any]:
    call: dict[str, Any] = {"id": id_, "type": "function", "function": {"name": "f"}}
    if beside is not None:
        call["extra_content"] = beside
    return {"role": "assistant", "content": None, "tool_calls": [call], **fields}


@pytest.mark.parametrize(
    ("wants_back", "message", "why"),
    [
        ("reasoning_content", asked(reasoning_content="Hm."), None),
        ("reasoning_content", asked(), "Missing `reasoning_content` field .* index 1"),
        ("reasoning_content", asked(reasoning_content="Hm"), "must be passed back"),
        ("reasoning_content", asked("b", reasoning_content=""), None),
        ("reasoning_content", asked("b"), "Missing `reasoning_content`"),
        ("thought_signature", asked(beside=SIGNED), None),
        ("thought_signature", asked(), "missing a thought_signature"),
        ("thought_signature", asked(beside={"google": {}}), "not valid"),
        ("thought_signature", asked("b", beside=SIGNED), None),
        ("thought_signature", asked("b"), "missing a thought_signature"),
        ("reasoning_details", asked(reasoning_details=[BLOCK]), None),
        ("reasoning_details", asked(), "Expected `thinking`"),
        ("reasoning_details", asked(reasoning_details=[{**BLOCK, "text": "!"}]), "Invalid `sig"),
        ("reasoning_details", asked("b", reasoning_details=[BLOCK]), None),
        ("reasoning_details", asked("b"), "Expected `thinking`"),
    ],
)
def test_a_tool_loop(wants_back: WantsBack, message: dict[str, Any], why: str | None) -> None:
    said = refusal(wants_back, HI, message, RESULT)
    if why is None:
        assert said is None
    else:
        with pytest.raises(ValueError, match=why):
            raise ValueError(said)


@pytest.mark.parametrize("wants_back", [*SAID])
def test_an_earlier_turn(wants_back: WantsBack) -> None:
    refused = refusal(wants_back, HI, asked(), RESULT, HI) is not None
    assert refused is (wants_back == "reasoning_content")


@pytest.mark.parametrize("wants_back", [*SAID])
def test_who_said_nothing_wants_nothing_back(wants_back: WantsBack) -> None:
    steps: list[Step] = [end(), status(200), CALL]
    assert refusal(wants_back, HI, asked(), RESULT, said=steps) is None
    assert refusal(wants_back, HI, {"role": "assistant", "content": "Hi"}, HI) is None
