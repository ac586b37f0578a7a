"""What parts of answers become: events, and calls whose ids are each taken once."""

from typing import Any

import pytest

from trio_agent._events import (
    ErrorDetail,
    ModelSwitch,
    OutputDelta,
    ReasoningDelta,
    TextDelta,
    ToolInputDelta,
    ToolName,
    ToolRequest,
)
from trio_agent._run.speech import Speech
from trio_agent.models._parts import (
    OutputPart,
    ReasoningPart,
    SwitchPart,
    TextPart,
    ToolInputPart,
)


def begun(*call_ids: str, **settings: Any) -> Speech:
    speech = Speech(set(call_ids), **settings)
    speech.begin(1)
    return speech


def ids_of(speech: Speech, *ids: str) -> list[str]:
    """The ids of calls that a model gives these."""
    for call_id in ids:
        speech.event_of(ToolInputPart(call_id, "t", "{}"), 1)
    return [call.id for call in speech.take_calls()]


@pytest.mark.parametrize(
    ("part", "event"),
    [
        (TextPart("a"), TextDelta(at=1, delta="a")),
        (ReasoningPart("a"), ReasoningDelta(at=1, delta="a")),
        (OutputPart("[1"), OutputDelta(at=1, delta="[1")),
        (ToolInputPart("1", "t", "{"), ToolInputDelta(at=1, tool=ToolName("1", "t"), delta="{")),
        (TextPart("\ud800é"), TextDelta(at=1, delta="?é")),
        (TextPart(""), None),
        (ReasoningPart(""), None),
        (OutputPart(""), None),
        (ToolInputPart("1", "t", ""), None),
    ],
)
def test_parts_and_their_events(part: Any, event: Any) -> None:
    assert begun().event_of(part, 1) == event


def test_a_call_grows_by_its_parts() -> None:
    speech = begun()
    for delta in ("", '{"x"', ":1}"):
        speech.event_of(ToolInputPart("1", "t", delta), 1)
    assert speech.calls == 1
    assert speech.take_calls() == [ToolRequest("1", "t", {"x": 1})]
    assert speech.calls == 0
    assert speech.take_calls() == []


@pytest.mark.parametrize(
    ("before", "said", "ids"),
    [
        ((), ("x", "y"), ["x", "y"]),
        (("x",), ("x",), ["x-1"]),
        (("x", "x-1"), ("x",), ["x-2"]),
        ((), ("x\ud800",), ["x?"]),
        ((), ("",), [""]),
    ],
)
def test_an_id_names_one_call(before: Any, said: Any, ids: list[str]) -> None:
    assert ids_of(begun(*before), *said) == ids


def test_the_number_in_an_id_is_that_of_the_step() -> None:
    used = {"x"}
    speech = Speech(used)
    speech.begin(2)
    assert ids_of(speech, "x") == ["x-2"]
    # Whoever publishes what it said, says that it is used.
    assert used == {"x"}
    used.add("x-2")
    speech.begin(2)
    assert ids_of(speech, "x") == ["x-3"]


def test_two_calls_of_one_answer_have_two_ids() -> None:
    """Also where nothing was heard of the first yet, so that its id is used by nobody."""
    speech = begun("x")
    for call_id in ("x", "x-1"):
        assert speech.event_of(ToolInputPart(call_id, "t", ""), 1) is None
    assert [call.id for call in speech.take_calls()] == ["x-1", "x-1-1"]


def test_an_answer_that_broke_off_leaves_nothing_to_the_next() -> None:
    speech = begun(wrapped=True)
    speech.event_of(ToolInputPart("x", "t", "{"), 1)
    speech.event_of(OutputPart('{"outp'), 1)
    speech.begin(1)
    assert speech.calls == 0
    assert speech.event_of(OutputPart('{"output":1}'), 2) == OutputDelta(at=2, delta="1")
    speech.event_of(ToolInputPart("x", "u", "{}"), 2)
    assert speech.take_calls() == [ToolRequest("x", "u", {})]


def test_ids_within_a_call() -> None:
    """The prefix comes first, and counts where an id was used before."""
    speech = begun("1/x", prefix="1/")
    assert ids_of(speech, "x", "y") == ["1/x-1", "1/y"]


def test_a_wrapped_answer_is_unwrapped_anew_in_each_step() -> None:
    speech = begun(wrapped=True)
    for step in (1, 2):
        speech.begin(step)
        deltas = [speech.event_of(OutputPart(text), 1) for text in ('{"outp', 'ut":[1', ",2]}")]
        assert deltas == [None, OutputDelta(at=1, delta="[1"), OutputDelta(at=1, delta=",2]")]


def test_another_model_answers() -> None:
    event = begun().switch(SwitchPart("a\ud800", "b", "odd", "it broke"), 7)
    assert event == ModelSwitch(
        at=7, step_number=1, from_="a?", to="b", error=ErrorDetail("odd", "it broke")
    )
