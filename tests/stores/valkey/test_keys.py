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
        for key in (run.run, run.draft, run.refused, run.log, run.viewers, run.turn, run.gone):
            assert key.startswith(f"{tag}:")
            assert key.endswith(f":run{n}")
        for key in (
            *(shared.index, shared.holds, shared.leases),
            *(*shared.counted, *shared.idle, shared.news),
            *(shared.owner("me"), shared.threads("me"), shared.threads(None)),
            *(shared.deleted("token"), run.staged("digest")),
        ):
            assert key.startswith(f"{tag}:")
    assert tags == {f"x:{{p{n}}}" for n in range(PARTITIONS)}


def test_all_keys_of_a_thread_have_the_tag_of_its_partition() -> None:
    keys = Keys("x")
    tags = set()
    for n in range(200):
        thread = keys.of_thread("me", f"t{n}")
        assert keys.of_digest(thread.digest) == thread
        tags.add(thread.partition.tag)
        for key in (thread.thread, thread.runs, thread.leaving):
            assert key.startswith(f"{thread.partition.tag}:")
            assert key.endswith(f":{thread.digest}")
    assert len(tags) == PARTITIONS


PAIRS = [(None, "a"), ("", "a"), ("a", ""), ("a", "bc"), ("ab", "c"), (None, "1:ab")]
"""Owners, each with something of theirs."""


def test_what_owners_have_is_apart() -> None:
    keys = Keys("x")
    assert len({keys.idempotency(owner, key) for owner, key in PAIRS}) == len(PAIRS)
    assert len({keys.of_thread(owner, name).thread for owner, name in PAIRS}) == len(PAIRS)
    assert "secret" not in keys.idempotency("secret", "secret")
    assert "secret" not in keys.of_thread("secret", "secret").thread
    assert len({keys.partitions[0].threads(owner) for owner in (None, "", "-")}) == 3


@pytest.mark.parametrize("prefix", ["", "a{b}", "a b", "x" * 65])
def test_bad_prefixes(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Keys(prefix)
