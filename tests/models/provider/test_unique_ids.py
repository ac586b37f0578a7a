"""No id is given on twice."""

from trio_agent.models._provider._unique_ids import UniqueIds


def test_what_was_taken_gets_a_number() -> None:
    ids = UniqueIds()
    assert [ids.take(each) for each in ("a", "b", "a", "a-2", "a")] == [
        "a", "b", "a-2", "a-2-2", "a-3",
    ]  # fmt: skip
