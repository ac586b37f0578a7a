"""What stands in the data of events that are no chunks."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from trio_agent._errors import ModelError
from trio_agent.models._provider._odd_event import read_odd_event, read_odd_value

A, B = {"a": 1}, {"b": 2}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a":1}', [A]),
        ('{"a":\n1}', [A]),
        ('{"a":1}\n\n{"b":2}', [A, B]),
        ('{"a":1}\ndata: {"b":2}\n[DONE]', [A, B, None]),
        ('data: data:{"a":1}\r\n', [A]),
        ('[{"a":1},{"b":2},null]', [A, B]),
        (" [DONE] ", [None]),
        ("[done]", [None]),
        ("DONE", [None]),
        ('"[DONE]"', [None]),
        ('{"a":NaN}', [{"a": pytest.approx(float("nan"), nan_ok=True)}]),
        ("", []),
        (" \n \n", []),
        ("null", []),
        ('" "', []),
        ("[]", []),
        ("ping", []),
        (": keep-alive", []),
        ("[HEARTBEAT]", []),
        ("PROCESSING", []),
        ("undefined", []),
        ("connected", []),
        ("[START]", []),
        ("[PROCESSING_2]", []),
        ("[END]", [None]),
        ("[eos]", [None]),
        ("7", []),
        ("1.5", []),
        ("true", []),
        ("[7]", []),
        ('{"a":1}{"b":2}', [A, B]),
        ('{"a":1}data: {"b":2}', [A, B]),
        ('{"a":1} data:data:{"b":2}\n{"a":1}', [A, B, A]),
        ('{"a":1},{"b":2},', [A, B]),
        ('{"a":1}[DONE]', [A, None]),
        ('data: {"a":1}data: [DONE]', [A, None]),
    ],
)
def test_events(text: str, values: list[Any]) -> None:
    assert list(read_odd_event(text)) == values


@pytest.mark.parametrize("event", ["ping", "heartbeat", "keep-alive"])
@pytest.mark.parametrize(
    "text",
    [
        "2027-01-01 00:00:00",
        "7",
        "{",
        '{"a":',
        '{"a":1}{',
        '{"code":7,"message":"x"}',
        '{"detail":[7]}',
    ],
)
def test_events_that_keep_alive(event: str, text: str) -> None:
    assert [value for value in read_odd_event(text, event) if value != A] == []


def test_an_answer_in_an_event_that_keeps_alive_counts() -> None:
    chunk = {"choices": [], "usage": None}
    assert list(read_odd_value(chunk, "ping")) == [chunk]


@pytest.mark.parametrize(
    ("text", "event", "message"),
    [
        ("Number of choices must be *key*", "message", "Number of choices must be ***"),
        ("Traceback:\n  File", "message", "Traceback:"),
        ('"no"', "message", "no"),
        ('{"error":"no"}', "message", "no"),
        ('[{"error":"no"}]', "message", "no"),
        ('{"message":"no"}', "error", "no"),
        ('{"error":"no"}', "ping", "no"),
        ("[ERROR]", "message", "[ERROR]"),
        ("[ERROR] no", "message", "[ERROR] no"),
        ('{"code":"c","message":"no"}', "message", "no"),
        ('{"a":\n{"error":"no"}', "message", "no"),
        ('{"a":\nx\ndata: {"code":7,"message":"no"}\n', "message", "no"),
        ('{"a":1}{"error":"no"}', "message", "no"),
    ],
)
def test_errors(text: str, event: str, message: str) -> None:
    with pytest.raises(ModelError) as info:
        list(read_odd_event(text, event, secret="*key*"))
    assert (info.value.code, info.value.message) == ("provider-error", message)


def test_what_comes_before_an_error_is_read() -> None:
    values = read_odd_event('{"a":1}\nno')
    assert next(values) == A
    with pytest.raises(ModelError, match="no"):
        next(values)


@pytest.mark.parametrize(
    "text", ["{", "[1", '{"a":1}{', '{"a":1}x', '{"a":1}\n{', '{"a":\nx', "{}" * 2000]
)
def test_what_can_not_be_understood(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(read_odd_event(text))


@pytest.mark.parametrize(
    ("value", "values"), [(A, [A]), ("[DONE]", [None]), (None, []), ([A], [A])]
)
def test_values(value: Any, values: list[Any]) -> None:
    assert list(read_odd_value(value)) == values


@settings(deadline=None)
@given(
    st.text()
    | st.lists(st.sampled_from(["data:", "\n", "{", "}", "{}", ",", "[DONE]", "ping", " "])).map(
        "".join
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        for value in read_odd_event(text):
            assert value is None or isinstance(value, dict)
    except (ModelError, ValueError):
        pass
