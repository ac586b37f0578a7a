"""What of an agent a client may change for its run."""

import math
from typing import Any

import pytest

from trio_agent import Limits
from trio_agent.servers._shared.allowed import Allowed
from trio_agent.servers._shared.problem import Problem

AGENT = Limits(max_steps=5, max_tokens=100, tool_retries=None)
ALL = Allowed(["temperature"], ["maxSteps", "maxTokens", "runDeadline", "toolRetries"])


def test_options() -> None:
    assert ALL.check_options({"temperature": 0.1}) == {"temperature": 0.1}
    with pytest.raises(Problem) as caught:
        ALL.check_options({"temperature": 0.1, "seed": 1})
    assert (caught.value.status, caught.value.code) == (403, "not-allowed")
    assert caught.value.message == (
        "clients may not set the option 'seed' here; allow it with --allow-option seed"
    )


@pytest.mark.parametrize(
    ("wanted", "limits"),
    [
        ({}, {}),
        ({"maxSteps": 5}, {"max_steps": 5}),
        ({"maxTokens": 1}, {"max_tokens": 1}),
        ({"runDeadline": 3}, {"run_deadline": 3}),
        ({"toolRetries": None}, {"tool_retries": None}),
        ({"toolRetries": 10**6}, {"tool_retries": 10**6}),
    ],
)
def test_limits_that_are_lower(wanted: Any, limits: Any) -> None:
    assert ALL.check_limits(wanted, AGENT) == limits


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"maxSteps": 6}, "maxSteps can be lowered only: it is at most 5 - at `$.limits.maxSteps`"),
        (
            {"maxTokens": None},
            "maxTokens can be lowered only: it is at most 100 - at `$.limits.maxTokens`",
        ),
    ],
)
def test_limits_that_are_higher(wanted: Any, message: str) -> None:
    with pytest.raises(Problem) as caught:
        ALL.check_limits(wanted, AGENT)
    assert (caught.value.status, caught.value.message) == (400, message)


@pytest.mark.parametrize("name", ["modelRetries", "max_tokens", "", "x" * 1000])
def test_limits_that_are_not_allowed(name: str) -> None:
    with pytest.raises(Problem) as caught:
        ALL.check_limits({name: 1}, AGENT)
    assert (caught.value.status, caught.value.code) == (403, "not-allowed")
    assert caught.value.message.endswith(f"--allow-limit {name[:80]}")


def test_nothing_is_allowed_unless_somebody_says_so() -> None:
    for check in (Allowed().check_options, lambda names: Allowed().check_limits(names, AGENT)):
        assert check({}) == {}
        with pytest.raises(Problem):
            check({"maxTokens": 1})


def test_no_deadline_is_no_bound() -> None:
    with pytest.raises(Problem):
        ALL.check_limits({"runDeadline": None}, Limits(run_deadline=5))
    assert ALL.check_limits({"runDeadline": math.inf}, Limits()) == {"run_deadline": math.inf}


def test_a_limit_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"^there is no limit 'max_tokens'; there are: maxSteps"):
        Allowed(limits=["max_tokens"])


def test_client_tools() -> None:
    tools = [{"name": f"look{number}"} for number in range(64)]
    allowed = Allowed(client_tools=True)
    assert Allowed().check_client_tools([]) == []
    assert allowed.check_client_tools(tools) == tools
    for who, wanted, status, message in (
        (
            Allowed(),
            tools[:1],
            403,
            "clients may not bring tools here; allow it with --allow-client-tools",
        ),
        (
            allowed,
            [*tools, {"name": "more"}],
            400,
            "a run has at most 64 tools of its client - at `$.clientTools`",
        ),
    ):
        with pytest.raises(Problem) as caught:
            who.check_client_tools(wanted)
        assert (caught.value.status, caught.value.message) == (status, message)
