"""Whether somebody has to allow a call."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from trio_agent._errors import ToolError
from trio_agent.tools._approval import check_approval, is_asked
from trio_agent.tools._context import ToolContext
from trio_agent.tools._signature import signature_of
from trio_agent.tools._tool import tool


def refund(order: str, amount: float = 500.0, *, why: str = "") -> str:
    return order


def large(context: ToolContext[Any], amount: float, **_: Any) -> bool:
    return bool(amount > context.deps)


class Policy:
    def __call__(self, context: ToolContext, **arguments: Any) -> bool:
        return bool(arguments["why"])

    def of_order(self, context: ToolContext, order: str, amount: float, why: str) -> bool:
        return order == "1"

    async def later(self, context: ToolContext, **_: Any) -> bool:
        return True


class AsyncPolicy:
    async def __call__(self, context: ToolContext, **_: Any) -> bool:
        return True


async def later(context: ToolContext, **_: Any) -> bool:
    return True


PARAMETERS = signature_of(refund).parameters


@pytest.mark.parametrize(
    "approval",
    [
        True,
        False,
        large,
        Policy(),
        Policy().of_order,
        functools.partial(large, amount=3),
        lambda context, **_: True,
        lambda *arguments, **_: True,
    ],
)
def test_what_can_be_asked(approval: Any) -> None:
    check_approval(approval, PARAMETERS)


NEITHER = r"approval is True, False or a function f\(context, \*\*arguments\) .*, not "
ASYNC = r"can't be async: decide in a plain function .*, or ask always, with approval=True"
TAKES = "by position, and by name with order, amount, why: .*; take what you don't need as"


@pytest.mark.parametrize(
    ("approval", "message"),
    [
        (None, NEITHER),
        (1, NEITHER),
        ("always", NEITHER),
        (Policy, NEITHER),
        (later, ASYNC),
        (functools.partial(later), ASYNC),
        (Policy().later, ASYNC),
        (AsyncPolicy(), ASYNC),
        (lambda: True, TAKES),
        (lambda order, amount, why: True, TAKES),
        (lambda context, amount: True, TAKES),
        (lambda context, order, amount, why, more: True, TAKES),
        (lambda **arguments: True, TAKES),
        (getattr, TAKES),
    ],
)
def test_what_can_not_be_asked(approval: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_approval(approval, PARAMETERS)


def test_a_tool_without_parameters_and_one_with_any() -> None:
    check_approval(lambda context: True, ())
    with pytest.raises(TypeError, match="by name with nothing: "):
        check_approval(lambda: True, ())
    further = signature_of(lambda **kwargs: None, described=True).parameters
    check_approval(lambda context, **_: True, further)


@pytest.mark.parametrize("answer", [True, False])
def test_the_answer_is_what_is_said(answer: bool) -> None:
    context = ToolContext()
    assert is_asked(answer, context, {}) is answer
    asked: list[Any] = []

    def says(context: ToolContext, **arguments: Any) -> bool:
        asked.append((context, arguments))
        return answer

    assert is_asked(says, context, {"a": 1}) is answer
    assert asked == [(context, {"a": 1})]


@pytest.mark.parametrize("answer", [None, 0, 1, "no", [], object()])
def test_what_is_no_answer(answer: Any) -> None:
    with pytest.raises(TypeError, match=f"returned a {type(answer).__name__}, no bool"):
        is_asked(lambda context: answer, ToolContext(), {})


# In a tool


@pytest.mark.parametrize(
    ("approval", "sent", "wants"),
    [
        (False, {"order": "1"}, None),
        (True, {"order": "1"}, "approval"),
        (True, '{"order": "1"}', "approval"),
        (large, {"order": "1", "amount": 10}, None),
        (large, {"order": "1", "amount": 101}, "approval"),
        # What is not sent is what the function has by itself.
        (large, {"order": "1"}, "approval"),
        (Policy(), {"order": "1"}, None),
        (Policy(), {"order": "1", "why": "late"}, "approval"),
        # A call that is not going to be made.
        (True, {}, None),
        (True, {"order": 1}, None),
        (True, "{", None),
        (large, {"order": "1", "amount": "101"}, None),
        (large, {"order": "1", "amount": 101, "more": 1}, None),
    ],
)
def test_what_a_call_waits_for(approval: Any, sent: Any, wants: str | None) -> None:
    made = tool(refund, approval=approval)
    assert made.wants(sent, ToolContext(deps=100)) == wants
    assert made.may_wait is (approval is not False)


def test_arguments_are_as_the_function_gets_them() -> None:
    seen: list[Any] = []

    def sees(context: ToolContext, /, **arguments: Any) -> bool:
        seen.append(arguments)
        return False

    @tool(approval=sees)
    def book(context: ToolContext, nights: tuple[int, ...], at: list[str] | None = None) -> None:
        raise AssertionError

    assert book.wants({"nights": [1, 2]}, ToolContext()) is None
    assert seen == [{"nights": (1, 2), "at": None}]


def test_what_a_partial_binds_is_not_asked_about() -> None:
    made = tool(functools.partial(refund, "1"), approval=lambda _, amount, why: amount > 1)
    assert made.wants({"amount": 2}, ToolContext()) == "approval"


@pytest.mark.parametrize("error", [KeyError("x"), ToolError("no")])
def test_what_it_raises_is_raised(error: Exception) -> None:
    def fails(context: ToolContext, **_: Any) -> bool:
        raise error

    with pytest.raises(type(error)):
        tool(refund, approval=fails).wants({"order": "1"}, ToolContext())


@pytest.mark.parametrize("approval", [None, later, lambda: True])
def test_a_tool_says_what_is_wrong_when_it_is_made(approval: Any) -> None:
    decorate: Callable[..., Any] = tool(approval=approval)
    with pytest.raises(TypeError, match=r"^tool 'refund': approval"):
        decorate(refund)
