"""What a retention chooses to remove from Valkey. No server is needed."""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import pytest

from trio_agent._limits import Retention
from trio_agent.stores.valkey._removal import choose

Found: TypeAlias = tuple[str, int, int]
"""An id, its age and its size."""


def survey(*runs: Found, threads: Sequence[Found] = (), at: int = 0) -> list[Any]:
    """A partition's reply: when it was asked, and what of finished runs and of idle threads."""
    return [at, *map(page, (runs, threads))]


def page(found: Sequence[Found]) -> list[Any]:
    rows = [[name.encode(), age, str(size).encode()] for name, age, size in found]
    return [len(found), str(sum(size for _, _, size in found)).encode(), rows]


def chosen(surveys: Sequence[Any], retention: Retention) -> tuple[list[str], list[str], bool]:
    runs, threads, more = choose(surveys, retention)
    return [run.name for run in runs], [thread.name for thread in threads], more


KEEP = Retention(seconds=100, max_runs=100, max_bytes=10_000)
ALL = Retention(math.inf, math.inf, math.inf)


def test_the_oldest_of_all_partitions_are_chosen() -> None:
    surveys = [survey(("b", 50_000, 10), ("c", 20_000, 10)), survey(("a", 70_000, 10)), survey()]
    assert chosen(surveys, KEEP) == ([], [], False)
    assert chosen(surveys, Retention(50, 100, 10_000)) == (["a", "b"], [], False)
    assert chosen(surveys, Retention(100, 2, 10_000)) == (["a"], [], False)
    assert chosen(surveys, Retention(100, 100, 19)) == (["a", "b"], [], False)
    assert chosen(surveys, Retention(0, 0, 0)) == (["a", "b", "c"], [], False)


@pytest.mark.parametrize(
    ("retention", "runs", "threads"),
    [
        (ALL, "", ""),
        (Retention(0, math.inf, math.inf), "ac", ""),
        (Retention(math.inf, 0, math.inf), "ac", ""),
        (Retention(math.inf, math.inf, math.inf, thread_seconds=60), "", "s"),
        (Retention(math.inf, math.inf, 30), "a", ""),
        (Retention(math.inf, math.inf, 29), "a", "s"),
        (Retention(math.inf, math.inf, 19), "ac", "s"),
        (Retention(math.inf, math.inf, 0), "ac", "st"),
        # Those that are too old make room.
        (Retention(math.inf, math.inf, 30, thread_seconds=60), "a", "s"),
        (Retention(0, math.inf, 20), "ac", "s"),
    ],
)
def test_runs_and_threads_make_room_in_the_order_of_their_ends(
    retention: Retention, runs: str, threads: str
) -> None:
    surveys = [
        survey(("c", 50_000, 10), threads=[("s", 60_000, 10)]),
        survey(("a", 70_000, 10), threads=[("t", 40_000, 10)]),
    ]
    assert chosen(surveys, retention) == ([*runs], [*threads], False)


def test_the_oldest_is_so_whenever_its_partition_was_asked() -> None:
    surveys = [survey(("b", 100, 1), at=1000), survey(("a", 101, 1), at=1005)]
    assert chosen(surveys, Retention(100, 1, 100)) == (["b"], [], False)
    # What is removed is called what its partition calls it.
    runs, _, _ = choose(surveys, Retention(0, 0, 0))
    assert [(run.name, run.at) for run in runs] == [("b", 900), ("a", 904)]


def test_what_may_not_be_the_oldest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent.stores.valkey._removal._SURVEYED", 2)
    page = survey(("a", 9000, 1), ("b", 8000, 1))
    page[1][0] = 3  # There is another, between 8000 and 5000 perhaps.
    surveys = [page, survey(("z", 5000, 1))]
    assert chosen(surveys, Retention(0, 0, 0)) == (["a", "b"], [], True)
    assert chosen(surveys, Retention(100, 3, 100)) == (["a"], [], False)
    assert chosen([page], Retention(0, 0, 0)) == (["a", "b"], [], True)


@pytest.mark.parametrize(
    ("retention", "runs", "threads", "more"),
    [
        (Retention(0, math.inf, 0), "", "st", True),
        # Of those that stay, more may be there: they hide no run that is too old.
        (Retention(0, math.inf, math.inf), "ab", "", False),
        (Retention(math.inf, math.inf, 2), "", "st", True),
        (Retention(math.inf, math.inf, 4), "", "s", False),
    ],
)
def test_threads_that_are_not_in_view_come_before_younger_runs(
    monkeypatch: pytest.MonkeyPatch, retention: Retention, runs: str, threads: str, more: bool
) -> None:
    monkeypatch.setattr("trio_agent.stores.valkey._removal._SURVEYED", 2)
    surveys = [survey(("a", 50, 1), threads=[("s", 90, 1), ("t", 80, 1)]), survey(("b", 40, 1))]
    surveys[0][2][1] = b"3"
    assert chosen(surveys, retention) == ([*runs], [*threads], more)
