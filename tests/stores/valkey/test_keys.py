"""What keys are called: those that one script touches are in one slot."""

import pytest

from trio_agent.stores.valkey._keys import PARTITIONS, Keys


def test_all_keys_of_a_run_have_the_tag_of_its_partition() -> None:
    keys = Keys("x")
    tags = set()
    for n in range(200):
        run = keys.of_run(f"run{n}")
        tag = run.partition.tag
        tags.add(tag)
        shared = run.partition
        for key in (run.run, run.draft, run.log, run.viewers, run.gone):
            assert key.startswith(f"{tag}:")
            assert key.endswith(f":run{n}")
        for key in (
            *(shared.index, shared.holds, shared.leases),
            *(shared.finished, shared.sizes, shared.owned, shared.shares, shared.news),
        ):
            assert key.startswith(f"{tag}:")
        assert shared.owner("me").startswith(f"{tag}:")
    assert tags == {f"x:{{p{n}}}" for n in range(PARTITIONS)}


def test_idempotency_keys_are_apart() -> None:
    keys = Keys("x")
    pairs = [(None, "a"), ("", "a"), ("a", ""), ("a", "bc"), ("ab", "c"), (None, "1:ab")]
    assert len({keys.idempotency(owner, key) for owner, key in pairs}) == len(pairs)
    assert "secret" not in keys.idempotency("secret", "secret")


@pytest.mark.parametrize("prefix", ["", "a{b}", "a b", "x" * 65])
def test_bad_prefixes(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Keys(prefix)
