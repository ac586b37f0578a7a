"""Who has used what, and who may use more."""

import pytest

from trio_agent._events import Usage
from trio_agent._run.budget import Budget


def test_usage_counts_for_all_above() -> None:
    top = Budget()
    left, right = Budget(within=top), Budget(within=top)
    below = Budget(within=left)
    for each, tokens in ((top, 1), (left, 20), (below, 300), (right, 4000)):
        each.paid(Usage(tokens, 0, tokens))
    assert [each.usage.total_tokens for each in (top, left, below, right)] == [4321, 320, 300, 4000]
    assert [each.own_usage.total_tokens for each in (top, left, below, right)] == [1, 20, 300, 4000]


@pytest.mark.parametrize(
    ("own", "above", "spent", "bound"),
    [
        (None, None, 99, None),
        (10, None, 9, None),
        (10, None, 10, 10),
        (None, 10, 10, 10),
        (10, 5, 9, 5),
        (5, 10, 10, 5),
        (20, 10, 9, None),
    ],
)
def test_the_nearest_bound_that_was_reached(
    own: int | None, above: int | None, spent: int, bound: int | None
) -> None:
    budget = Budget(own, Budget(above))
    assert budget.bounded is (own is not None or above is not None)
    budget.spend(spent)
    assert budget.exhausted == bound


def test_what_was_counted_is_corrected() -> None:
    budget = Budget(10)
    budget.spend(12)
    budget.spend(-5)
    assert budget.exhausted is None


def test_siblings_share_what_is_above_them() -> None:
    top = Budget(10)
    left, right = Budget(within=top), Budget(within=top)
    left.spend(6)
    assert right.exhausted is None
    right.spend(4)
    assert left.exhausted == right.exhausted == 10
