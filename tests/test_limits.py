"""Bounds: what they are if nobody says, and which are none."""

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from trio_agent._limits import CancelAfter, Limits, Retention, RuntimeLimits


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_steps": 0},
        {"max_tokens": 0},
        {"run_deadline": 0},
        {"step_deadline": -1},
        {"tool_deadline": 0},
        {"model_retries": -1},
        {"retry_window": -1},
        {"tool_retries": -1},
        {"output_retries": -1},
        {"step_retries": -1},
        {"answer_deadline": 0},
        {"continuations": -1},
    ],
)
def test_limits_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_streams": 0},
        {"max_log_bytes": 1023},
        {"max_blob_bytes": -1},
        {"max_thread_bytes": -1},
        {"closing_bound": 0},
        {"store_patience": -0.1},
        {"tool_threads": 0},
    ],
)
def test_limits_of_a_runtime_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RuntimeLimits(**wrong)


def test_cancel_after_is_not_negative() -> None:
    with pytest.raises(ValueError, match="seconds"):
        CancelAfter(-1)


@pytest.mark.parametrize(
    ("make", "least"),
    [
        (
            Limits,
            {
                "max_steps": 1,
                "max_tokens": 1,
                "run_deadline": 1e-9,
                "step_deadline": 1e-9,
                "tool_retries": 0,
                "output_retries": 0,
                "model_retries": 0,
                "retry_window": 0,
                "tool_deadline": 1e-9,
                "step_retries": 0,
                "answer_deadline": 1e-9,
                "continuations": 0,
            },
        ),
        (
            RuntimeLimits,
            {
                "max_streams": 1,
                "max_log_bytes": 1024,
                "max_blob_bytes": 0,
                "max_thread_bytes": 0,
                "retention": Retention(0, 0, 0),
                "closing_bound": 1e-9,
                "store_patience": 0,
                "tool_threads": 1,
            },
        ),
        (CancelAfter, {"seconds": 0}),
    ],
)
def test_the_least_is_allowed(make: Callable[..., Any], least: dict[str, Any]) -> None:
    assert attrs.asdict(make(**least), recurse=False) == least


def test_what_holds_if_nobody_says() -> None:
    assert attrs.asdict(Limits()) == {
        "max_steps": 10,
        "max_tokens": None,
        "run_deadline": math.inf,
        "step_deadline": math.inf,
        "model_retries": 3,
        "retry_window": 15.0,
        "tool_deadline": 60.0,
        "tool_retries": 5,
        "output_retries": 2,
        "step_retries": 2,
        "answer_deadline": 7 * 86_400,
        "continuations": 3,
    }
    assert attrs.asdict(RuntimeLimits()) == {
        "max_streams": 1000,
        "max_log_bytes": 64 * 1024 * 1024,
        "max_blob_bytes": 32 * 1024 * 1024,
        "max_thread_bytes": 64 * 1024 * 1024,
        "retention": None,
        "closing_bound": 5.0,
        "store_patience": 5.0,
        "tool_threads": 40,
    }
    assert attrs.asdict(Retention()) == {
        "seconds": 300.0,
        "max_runs": 10_000,
        "max_bytes": 1024 * 1024 * 1024,
        "owner_bytes": math.inf,
        "thread_seconds": math.inf,
    }


@pytest.mark.parametrize("limits", [Limits, RuntimeLimits])
def test_limits_are_named(limits: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="positional"):
        limits(1)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (Limits(), "max_steps"),
        (RuntimeLimits(), "max_streams"),
        (Retention(), "seconds"),
        (CancelAfter(1), "seconds"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_limits_are_immutable(value: Any, field: str) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, field, 1)


@pytest.mark.parametrize(
    ("age", "runs", "size", "kept"),
    [
        (9.9, 5, 100, True),
        (0, 1, 0, True),
        (10, 5, 100, False),
        (9.9, 6, 100, False),
        (9.9, 5, 101, False),
        (1e9, 99, 1e9, False),
    ],
)
def test_what_retention_keeps(age: float, runs: int, size: int, kept: bool) -> None:
    assert Retention(10, 5, 100).keeps(3, now=3 + age, runs=runs, size=size) is kept


def test_nothing_finished_is_kept_for_no_time() -> None:
    assert not Retention(seconds=0).keeps(3, now=3, runs=1, size=1)


@pytest.mark.parametrize(
    ("age", "size", "kept"),
    [
        (19.9, 100, True),
        (20, 100, False),
        (19.9, 101, False),
        (0, 0, True),
    ],
)
def test_which_threads_retention_keeps(age: float, size: int, kept: bool) -> None:
    """They have an age of their own, and share the bytes with runs."""
    retention = Retention(10, 5, 100, thread_seconds=20)
    assert retention.keeps_thread(3, now=3 + age, size=size) is kept


def test_threads_are_kept_for_ever_by_default() -> None:
    assert Retention(seconds=0, max_runs=0).keeps_thread(0, now=1e12, size=1 << 30)
    # (0.4 + 0.1) - 0.4 is less than 0.1: the age is counted forward, as that of runs is.
    assert not Retention(thread_seconds=0.1).keeps_thread(0.4, now=0.4 + 0.1, size=0)


def test_what_is_kept_of_one_owner_is_bounded_by_its_bytes_alone() -> None:
    retention = Retention(1, 2, 3, 400, 5).of_each_owner()
    assert retention.keeps(0, now=1e9, runs=10**9, size=400)
    assert retention.keeps_thread(0, now=1e9, size=400)
    assert not retention.keeps(0, now=0, runs=0, size=401)
    assert not retention.keeps_thread(0, now=0, size=401)
