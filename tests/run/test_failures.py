"""Tools that fail step after step."""

import pytest

from trio_agent._run.failures import Failures

OK, NO = True, False


@pytest.mark.parametrize(
    ("retries", "steps", "fails_at"),
    [
        (None, [[NO]] * 9, None),
        (0, [[NO]], 0),
        (1, [[NO], [NO]], 1),
        (1, [[NO], [OK], [NO]], None),
        (1, [[NO, NO, NO], [NO, OK], [NO]], None),
        (1, [[NO], [], [NO]], 2),
    ],
)
def test_failures_in_a_row(
    retries: int | None, steps: list[list[bool]], fails_at: int | None
) -> None:
    failures = Failures(retries)
    told = []
    for step in steps:
        for ok in step:
            failures.add("t", ok=ok)
        told.append(failures.end_step())
    expected = [None] * len(steps)
    if fails_at is not None and retries is not None:
        expected[fails_at] = f"the tool 't' failed {retries + 1} times in a row"  # type: ignore[call-overload]
    assert told == expected


def test_tools_are_counted_apart() -> None:
    failures = Failures(1)
    for name in ("a", "b", "a", "b"):
        failures.add(name, ok=False)
        failures.add("c", ok=True)
        told = failures.end_step()
        if name == "a" and told is not None:
            break
    assert told == "the tool 'a' failed 2 times in a row"
