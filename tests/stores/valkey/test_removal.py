"""What a retention chooses to remove from Valkey. No server is needed."""

from typing import Any

import pytest

from trio_agent._limits import Retention
from trio_agent.stores.valkey._removal import choose


def survey(*runs: tuple[str, int, int], at: int = 0) -> list[Any]:
    """A partition's reply: ids with their ages and sizes, and when it was asked."""
    found = [[run_id.encode(), age, str(size).encode()] for run_id, age, size in runs]
    return [len(runs), str(sum(size for _, _, size in runs)).encode(), found, at]


KEEP = Retention(seconds=100, max_runs=100, max_bytes=10_000)


def test_the_oldest_of_all_partitions_are_chosen() -> None:
    surveys = [survey(("b", 50_000, 10), ("c", 20_000, 10)), survey(("a", 70_000, 10)), survey()]
    assert choose(surveys, KEEP) == ([], False)
    assert choose(surveys, Retention(50, 100, 10_000)) == (["a", "b"], False)
    assert choose(surveys, Retention(100, 2, 10_000)) == (["a"], False)
    assert choose(surveys, Retention(100, 100, 19)) == (["a", "b"], False)
    assert choose(surveys, Retention(0, 0, 0)) == (["a", "b", "c"], False)


def test_the_oldest_is_so_whenever_its_partition_was_asked() -> None:
    surveys = [survey(("b", 100, 1), at=1000), survey(("a", 101, 1), at=1005)]
    assert choose(surveys, Retention(100, 1, 100)) == (["b"], False)


def test_what_may_not_be_the_oldest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent.stores.valkey._removal._SURVEYED", 2)
    page = survey(("a", 9000, 1), ("b", 8000, 1))
    page[0] = 3  # There is another, between 8000 and 5000 perhaps.
    surveys = [page, survey(("z", 5000, 1))]
    assert choose(surveys, Retention(0, 0, 0)) == (["a", "b"], True)
    assert choose(surveys, Retention(100, 3, 100)) == (["a"], False)
    assert choose([page], Retention(0, 0, 0)) == (["a", "b"], True)
