"""What a retention does not keep, next to a model that looks at each by itself."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from hypothesis import given, strategies as st

from trio_agent._limits import Retention
from trio_agent._log.surplus import Idle, surplus

K = TypeVar("K")

NOW = 100


def aged(make: Callable[[int], K], specs: list[tuple[int, int]]) -> list[Idle[K]]:
    """Make some of these ages and sizes, the oldest first."""
    ordered = sorted(specs, key=lambda spec: spec[0], reverse=True)
    return [Idle(make(n), NOW - age, size) for n, (age, size) in enumerate(ordered)]


SPECS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8)
BOUND = st.integers(0, 12) | st.just(float("inf"))
RETENTIONS = st.builds(
    Retention,
    seconds=BOUND,
    max_runs=st.integers(0, 9),
    max_bytes=st.integers(0, 60),
    thread_seconds=BOUND,
)


def model(
    runs: list[Idle[int]], threads: list[Idle[str]], retention: Retention, count: int, size: int
) -> tuple[list[int], list[str]]:
    """Look at all of them, each after what is older; of one moment, at runs first."""
    gone_runs: list[int] = []
    gone_threads: list[str] = []
    for each in sorted([*runs, *threads], key=lambda idle: idle.since):
        if isinstance(each.key, int):
            old = each.since + retention.seconds <= NOW
            if old or count > retention.max_runs or size > retention.max_bytes:
                gone_runs.append(each.key)
                count -= 1
                size -= each.size
        elif each.since + retention.thread_seconds <= NOW or size > retention.max_bytes:
            gone_threads.append(each.key)
            size -= each.size
    return gone_runs, gone_threads


@given(runs=SPECS, threads=SPECS, retention=RETENTIONS, elsewhere=st.integers(0, 9))
def test_it_is_what_the_model_says(
    runs: list[tuple[int, int]],
    threads: list[tuple[int, int]],
    retention: Retention,
    elsewhere: int,
) -> None:
    idle_runs, idle_threads = aged(int, runs), aged(str, threads)
    size = sum(idle.size for idle in [*idle_runs, *idle_threads]) + elsewhere
    count = len(runs) + elsewhere
    gone = surplus(idle_runs, idle_threads, retention, now=NOW, count=count, size=size)
    assert gone == model(idle_runs, idle_threads, retention, count, size)
    gone_runs, gone_threads = gone
    # Of each the oldest, and then no more than is allowed.
    assert gone_runs == [idle.key for idle in idle_runs[: len(gone_runs)]]
    assert gone_threads == [idle.key for idle in idle_threads[: len(gone_threads)]]
    left_runs, left_threads = idle_runs[len(gone_runs) :], idle_threads[len(gone_threads) :]
    left = elsewhere + sum(idle.size for idle in [*left_runs, *left_threads])
    assert left <= retention.max_bytes or not [*left_runs, *left_threads]
    assert not left_runs or len(left_runs) + elsewhere <= retention.max_runs
    assert all(idle.since + retention.seconds > NOW for idle in left_runs)
    assert all(idle.since + retention.thread_seconds > NOW for idle in left_threads)


@pytest.mark.parametrize(
    ("retention", "runs", "threads"),
    [
        (Retention(), [], []),
        (Retention(max_bytes=39), ["a"], []),
        (Retention(max_bytes=30), ["a"], []),
        (Retention(max_bytes=29), ["a"], ["s"]),
        (Retention(max_bytes=19), ["a", "b"], ["s"]),
        (Retention(max_bytes=0), ["a", "b"], ["s", "t"]),
        (Retention(max_runs=1), ["a"], []),
        (Retention(max_runs=0), ["a", "b"], []),
        (Retention(seconds=3), ["a", "b"], []),
        (Retention(thread_seconds=4), [], ["s"]),
        (Retention(thread_seconds=2), [], ["s", "t"]),
        # What goes for its number makes room.
        (Retention(max_runs=1, max_bytes=30), ["a"], []),
    ],
)
def test_the_oldest_of_both_goes_first(
    retention: Retention, runs: list[str], threads: list[str]
) -> None:
    gone = surplus(
        [Idle("a", 95, 10), Idle("b", 97, 10)],
        # At one moment with the first run, which goes before.
        [Idle("s", 95, 10), Idle("t", 98, 10)],
        retention,
        now=NOW,
        count=2,
        size=40,
    )
    assert gone == (runs, threads)


def test_no_more_of_them_is_read_than_needed() -> None:
    read: list[int] = []

    def each(first: int) -> Iterator[Idle[int]]:
        for n in range(first, first + 50):
            read.append(n)
            yield Idle(n, n, 1)

    kept = Retention(seconds=1000, max_bytes=98)
    gone = surplus(each(0), each(100), kept, now=NOW, count=50, size=100)
    assert gone == ([0, 1], [])
    assert read == [0, 100, 1, 2]
