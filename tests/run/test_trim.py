"""A transcript within a budget: what stays can be read by a model, and is the newest."""

import itertools

import pytest
from hypothesis import given, strategies as st

from trio_agent._events import ToolRequest
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    File,
    SystemMessage,
    Text,
    ToolMessage,
    UserMessage,
    unpaired_calls,
)
from trio_agent._run.trim import estimate, trim_messages

TOKENS = {"s": 1, "u": 2, "a": 3, "t": 4}
"""What a message of each role counts, in tests of which messages stay."""


def transcript(script: str) -> tuple[AnyMessage, ...]:
    """Messages by their roles; an `a` calls as many tools as there are `t`s behind it."""
    messages: list[AnyMessage] = []
    for number, role in enumerate(script):
        if role == "s":
            messages.append(SystemMessage(str(number)))
        elif role == "u":
            messages.append(UserMessage(str(number)))
        elif role == "t":
            messages.append(ToolMessage(str(number), "fine"))
        else:
            results = itertools.takewhile(lambda each: each == "t", script[number + 1 :])
            calls = [ToolRequest(str(number + n), "look", {}) for n, _ in enumerate(results, 1)]
            messages.append(AssistantMessage(str(number), tuple(calls)))
    return tuple(messages)


def count(message: AnyMessage) -> int:
    return TOKENS[str(message.__struct_config__.tag)[0]]


def is_result(message: AnyMessage) -> bool:
    return isinstance(message, ToolMessage)


# What stays is written in capitals.
CASES = [
    ("", 1),
    ("UAUAU", 12),  # all of it fits
    ("uaUAU", 11),
    ("uaUAU", 7),
    ("uauaU", 6),  # an answer at the beginning does not stay
    ("uauaU", 1),  # nor does anything else, but the last word of the user always
    ("uatatU", 8),  # an answer without its question is not shown
    ("UATATU", 18),
    ("uUATT", 13),  # results stay with their calls
    ("uUattAT", 19),  # the question stays, however much came behind it
    ("UattATAT", 16),
    ("uUattattAT", 3),  # and so does what came last
    ("SuauU", 3),  # system messages stay, wherever they are
    ("uaSuaSU", 4),
    ("SUASU", 100),
    ("AUAU", 100),  # it began with an answer: so it was given
    ("auaU", 4),
    ("aAA", 6),  # there is no user
    ("atAT", 7),
    ("S", 1),
]


@pytest.mark.parametrize(("script", "budget"), CASES)
def test_what_stays(script: str, budget: int) -> None:
    messages = transcript(script.lower())
    expected = [m for m, role in zip(messages, script, strict=True) if role.isupper()]
    assert list(trim_messages(budget, count=count)(messages)) == expected


BLOCKS = st.sampled_from(["s", "u", "a", "at", "att", "attt"])


@given(st.lists(BLOCKS, max_size=12).map("".join), st.integers(1, 60))
def test_the_laws(script: str, budget: int) -> None:
    messages = transcript(script)
    trim = trim_messages(budget, count=count)
    kept = tuple(trim(messages))
    left = iter(messages)
    assert all(message in left for message in kept), "in their order"
    assert unpaired_calls(kept) is None
    assert tuple(trim(kept)) == kept
    assert [m for m in kept if isinstance(m, SystemMessage)] == [
        m for m in messages if isinstance(m, SystemMessage)
    ]
    said = [m for m in messages if not isinstance(m, SystemMessage)]
    shown = [m for m in kept if not isinstance(m, SystemMessage)]
    assert shown[-1:] == said[-1:]
    by_user = [m for m in said if isinstance(m, UserMessage)]
    assert [m for m in shown if isinstance(m, UserMessage)][-1:] == by_user[-1:]
    if kept == messages:
        return
    assert not by_user or isinstance(shown[0], UserMessage)
    if sum(map(count, kept)) > budget:
        results = sum(1 for _ in itertools.takewhile(is_result, reversed(said)))
        must_stay = [*by_user[-1:], *said[-results - 1 :]]
        assert all(message in must_stay for message in shown)


@given(st.lists(BLOCKS, max_size=12).map("".join), st.integers(1, 60))
def test_a_larger_budget_loses_nothing(script: str, budget: int) -> None:
    messages = transcript(script)
    smaller = trim_messages(budget, count=count)(messages)
    larger = trim_messages(budget + 1, count=count)(messages)
    assert [*filter([*larger].__contains__, smaller)] == [*smaller]


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_that_is_none(budget: int) -> None:
    with pytest.raises(ValueError, match=f"max_tokens is at least 1, not {budget}"):
        trim_messages(budget)


def test_what_is_too_old_is_not_counted() -> None:
    counted: list[AnyMessage] = []

    def counting(message: AnyMessage) -> int:
        counted.append(message)
        return 1

    messages = transcript("ua" * 500 + "u")
    kept = trim_messages(5, count=counting)(messages)
    assert tuple(kept) == messages[-5:]
    assert len(counted) == 6


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        (UserMessage(""), 4),
        (UserMessage("12345678"), 6),
        (UserMessage("123456789"), 7),
        (SystemMessage("東京"), 6),
        (UserMessage("\ud800"), 5),
        (ToolMessage("an id is not counted", "1234"), 5),
        (ToolMessage("1", "1234", files=(File("a/b", data=b"a"),) * 2), 2005),
        (UserMessage((Text("1234"), File("image/png", data=b"x" * 100_000))), 1005),
        (AssistantMessage("1234", reasoning="12345678"), 7),
        (AssistantMessage("", (ToolRequest("1", "look", {"a": 1}),)), 11),
        (AssistantMessage("", provider={"x": "what is sealed is not counted"}), 4),
    ],
)
def test_what_a_message_is_estimated_at(message: AnyMessage, tokens: int) -> None:
    assert estimate(message) == tokens


def test_without_a_count_it_is_estimated() -> None:
    messages = (UserMessage("x" * 400), AssistantMessage("fine"), UserMessage("y" * 40))
    assert trim_messages(122)(messages) == messages[2:]
    assert trim_messages(123)(messages) == messages
