"""Which tools of a server are offered, and what holds for them."""

from typing import Any

import pytest

from trio_agent.tools.mcp._offer import Offer, is_chosen


@pytest.mark.parametrize(
    ("chosen", "is_one"),
    [(True, True), (False, False), (frozenset({"add"}), True), (frozenset({"fly"}), False)],
)
def test_chosen(chosen: Any, is_one: bool) -> None:
    assert is_chosen(chosen, "add") is is_one


def test_by_default_all_are_offered_and_nothing_is_asked() -> None:
    offer = Offer()
    assert (offer.only, offer.approval, offer.retry_safe) == (True, False, False)
    assert offer.names == frozenset()


def test_all_that_is_named() -> None:
    assert Offer(only=["a", "b"], approval=["a"], retry_safe=True).names == {"a", "b"}
    assert Offer(approval={"a"}, retry_safe=("b",)).names == {"a", "b"}


@pytest.mark.parametrize(
    ("options", "declared"),
    [
        ({}, [None, None]),
        ({"prefix": "x", "only": ["b", "a"]}, ["x", ["a", "b"]]),
        ({"approval": True}, [None, None, True]),
        ({"approval": {"b", "a"}}, [None, None, ["a", "b"]]),
        # Whether a call may be made again is for who continues a run to say.
        ({"retry_safe": True}, [None, None]),
    ],
)
def test_what_must_stay_the_same(options: Any, declared: Any) -> None:
    assert Offer(**options).declared() == declared


@pytest.mark.parametrize("option", ["only", "approval", "retry_safe"])
@pytest.mark.parametrize("names", ["add", 3, None])
def test_what_is_no_list_of_names(option: str, names: Any) -> None:
    with pytest.raises(TypeError, match="take a list of names of tools, not "):
        Offer(**{option: names})


@pytest.mark.parametrize("option", ["approval", "retry_safe"])
def test_what_is_not_offered_can_not_be_named(option: str) -> None:
    options: Any = {option: ["add", "typo", "tpyo"]}
    with pytest.raises(ValueError, match=f"{option}= names what only= leaves out: tpyo, typo"):
        Offer(only=["add"], **options)
    assert Offer(**options).names == {"add", "typo", "tpyo"}
