"""When a request can't have thinking: the rules, and the same said by the scripted provider."""

from typing import Any

import pytest

from trio_agent.models.anthropic._thinking import OFF, budget_of, is_manual, is_off, is_refused
from trio_agent.testing._anthropic_rules import refusal_of, sealed, signature_of
from trio_agent.testing._scripted_server import RecordedRequest

TEXT = {"type": "text", "text": "a"}
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
USE_2 = USE | {"id": "u"}
RESULT = {"type": "tool_result", "tool_use_id": "t"}
RESULT_2 = {"type": "tool_result", "tool_use_id": "u"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": signature_of("hm", "m")}
HIDDEN = {"type": "redacted_thinking", "data": sealed("x", "m")}


def body(*turns: list[Any], thinking: Any = None, **fields: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": turn} for n, turn in enumerate(turns)]
    thinking = thinking or {"type": "enabled", "budget_tokens": 2000}
    return {"model": "m", "max_tokens": 9000, "messages": messages, "thinking": thinking, **fields}


TABLE: list[tuple[str, list[list[Any]], bool]] = [
    ("a new conversation", [[TEXT]], False),
    ("a new turn behind one without thinking", [[TEXT], [TEXT], [TEXT]], False),
    ("a new turn behind a loop without", [[TEXT], [USE], [RESULT], [TEXT], [TEXT]], False),
    ("a loop with thinking", [[TEXT], [THOUGHT, USE], [RESULT]], False),
    ("a loop with what nobody may read", [[TEXT], [HIDDEN, USE], [RESULT]], False),
    ("a loop without", [[TEXT], [USE], [RESULT]], True),
    ("a loop that begins with text", [[TEXT], [TEXT, THOUGHT, USE], [RESULT]], True),
    ("thinking at its begin only", [[TEXT], [THOUGHT, USE], [RESULT], [USE_2], [RESULT_2]], False),
    ("thinking later only", [[TEXT], [USE], [RESULT], [THOUGHT, USE_2], [RESULT_2]], True),
    ("a loop with a word of the user", [[TEXT], [USE], [RESULT, TEXT]], True),
    ("the assistant's words to go on with", [[TEXT], [TEXT]], True),
]


@pytest.mark.parametrize(("turns", "refused"), [t[1:] for t in TABLE], ids=[t[0] for t in TABLE])
def test_the_turn_in_progress_begins_with_a_thought(turns: list[list[Any]], refused: bool) -> None:
    request = body(*turns)
    assert is_refused(request) == refused
    headers = {"anthropic-version": "2023-06-01"}
    told = refusal_of(RecordedRequest("POST", "/v1/messages", headers, request))
    assert ("must start with a thinking block" in (told or "")) == refused
    assert not is_refused(body(*turns, thinking={"type": "adaptive"}))
    assert not is_refused(body(*turns, thinking=OFF))


@pytest.mark.parametrize(
    ("choice", "refused"),
    [("auto", False), ("none", False), ("any", True), ("tool", True), (None, False)],
)
def test_a_tool_can_not_be_forced(choice: str | None, refused: bool) -> None:
    option = {"type": choice} if choice else None
    assert is_refused(body([TEXT], tool_choice=option)) == refused
    assert not is_refused(body([TEXT], tool_choice=option, thinking={"type": "adaptive"}))


@pytest.mark.parametrize("thinking", [None, "enabled", ["enabled"], {}, {"type": None}])
def test_options_of_another_form_are_none_of_ours(thinking: Any) -> None:
    assert not is_manual(thinking)
    assert not is_off(thinking)
    assert budget_of(thinking) == 0
    assert not is_refused({"thinking": thinking, "messages": []})


@pytest.mark.parametrize(("budget", "expected"), [(2000, 2000), ("2000", 0), (None, 0)])
def test_the_budget(budget: Any, expected: int) -> None:
    assert budget_of({"type": "enabled", "budget_tokens": budget}) == expected
    assert budget_of({"type": "adaptive", "budget_tokens": budget}) == 0
