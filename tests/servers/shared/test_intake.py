"""The room for what clients send."""

import pytest

from trio_agent.servers._shared.intake import FREE, Intake, Share


def test_little_needs_no_room() -> None:
    intake = Intake(0)
    shares = [Share(intake) for _ in range(3)]
    assert all(share.grow(FREE) for share in shares)
    assert intake.taken == 0
    assert not any(share.grow(1) for share in shares)
    assert [share.size for share in shares] == [FREE] * 3


def test_much_is_shared() -> None:
    intake = Intake(100)
    one, two, three = Share(intake), Share(intake), Share(intake)
    assert one.grow(FREE + 60)
    assert two.grow(FREE)
    assert two.grow(40)
    assert not three.grow(FREE + 1)
    assert three.grow(FREE)
    one.shrink(1)
    assert three.grow(1)
    assert intake.taken == 100
    for share in (one, two, three):
        share.clear()
        share.clear()
    assert (intake.taken, one.size, two.size, three.size) == (0, 0, 0, 0)


@pytest.mark.parametrize("steps", [[10, FREE, -FREE, 90, -100], [FREE + 5, -FREE - 5], [1, -1]])
def test_growing_and_shrinking_end_at_nothing(steps: list[int]) -> None:
    intake = Intake(1 << 20)
    share = Share(intake)
    for step in steps:
        assert share.grow(step) if step > 0 else not share.shrink(-step)
        assert intake.taken == max(0, share.size - FREE)
    assert (share.size, intake.taken) == (0, 0)
