"""Acts as calls of scripts. No server is needed."""

from typing import Any

import pytest
from store_kit import deltas, finish, record

from trio_agent._limits import Retention
from trio_agent._log.log import Append
from trio_agent._log.store import Lease
from trio_agent.stores.valkey._calls import (
    Calls,
    choose,
    member_of,
    new_token,
    run_of_member,
    run_of_proposal,
)
from trio_agent.stores.valkey._keys import PARTITIONS, Keys
from trio_agent.stores.valkey._script import Call

KEYS = Keys("x")
CALLS = Calls(KEYS, lease=1.5)
RUN = KEYS.of_run("r")
SHARED = RUN.partition


@pytest.mark.parametrize(
    ("call", "keys"),
    [
        (CALLS.draft(record("r"), "token")[0], [RUN.draft, RUN.run]),
        (
            CALLS.reveal("r", None),
            [RUN.draft, RUN.run, RUN.gone, SHARED.index, SHARED.leases],
        ),
        (
            CALLS.reveal("r", "me"),
            [RUN.draft, RUN.run, RUN.gone, SHARED.index, SHARED.leases, SHARED.owner("me")],
        ),
        (CALLS.append(deltas("r", 1)), [RUN.run, RUN.log, SHARED.news]),
        (
            CALLS.append(finish("r", 1)),
            [RUN.run, RUN.log, SHARED.news, SHARED.leases, SHARED.finished, SHARED.sizes],
        ),
        (CALLS.read("r", 0, 10), [RUN.run, RUN.log, RUN.gone]),
        (
            CALLS.remove("r", b'{"owner":"me"}'),
            [
                *(RUN.run, RUN.log, RUN.viewers, RUN.gone),
                *(SHARED.index, SHARED.finished, SHARED.sizes, SHARED.news, SHARED.owner("me")),
            ],
        ),
    ],
    ids=lambda value: None if isinstance(value, Call) else str(len(value)),
)
def test_a_call_names_the_keys_that_its_script_takes(call: Call, keys: list[str]) -> None:
    """Scripts know their keys by their order."""
    assert list(call.keys) == keys


def test_what_is_appended() -> None:
    append = deltas("r", 4, 2, fence=3)
    data = [entry.data for entry in append.entries]
    assert CALLS.append(append).arguments == ["r", "3", "4", "0", "5", *data]
    assert CALLS.append(finish("r", 7)).arguments[2:5] == ["7", "1", "7"]
    beside = Append("r", 3, append.entries, {5: b"[5]", 6: b"[6]"})
    assert CALLS.append(beside).arguments == [*CALLS.append(append).arguments, "private:5", b"[5]"]


def test_what_is_drafted() -> None:
    full = record("r", owner="me", private=b"secret", blobs={"f0": b"file"})
    call, file = CALLS.draft(full, "token", "key of k")
    draft = dict(zip(call.arguments[2::2], call.arguments[3::2], strict=True))
    assert file.arguments == [*call.arguments[:2], "blob:f0", b"file"]
    assert draft["private"] == b"secret"
    assert (draft["member"], draft["key"]) == (member_of(full), "key of k")
    assert draft["size"] == str(full.size)
    shown = bytes(draft["record"])  # type: ignore[arg-type]
    assert b"me" in shown
    assert b"secret" not in shown


@pytest.mark.parametrize(
    "call",
    [
        CALLS.reveal("r", None),
        CALLS.claim("r"),
        CALLS.renew(Lease("r", 1)),
        CALLS.set_viewers("r", "w", 1),
    ],
    ids=["reveal", "claim", "renew", "set_viewers"],
)
def test_leases_are_in_milliseconds(call: Call) -> None:
    assert call.arguments[-1] == "1500"


@pytest.mark.parametrize(
    "calls",
    [CALLS.list(None, b"+", 5), CALLS.list("me", b"+", 5), CALLS.orphans(5), CALLS.survey()],
    ids=["list", "list of an owner", "orphans", "survey"],
)
def test_what_is_everywhere_is_asked_of_every_partition(calls: list[Call]) -> None:
    [*keys] = (key for call in calls for key in call.keys)
    assert {key.partition("}")[0] + "}" for key in keys} == {each.tag for each in KEYS.partitions}
    assert len(calls) == PARTITIONS


# Names


def test_members_are_in_the_order_of_creation() -> None:
    times = [0, 9, 10, 1_700_000_000_000, 9_999_999_999_999]
    members = [member_of(record(f"r:{n}", created_at=at)) for n, at in enumerate(times)]
    assert sorted(members) == members
    assert [run_of_member(member) for member in members] == [f"r:{n}" for n in range(len(times))]


def test_a_proposal_names_its_run() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        assert run_of_proposal(f"{token}:a:ü".encode()) == "a:ü"


# Retention


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
    monkeypatch.setattr("trio_agent.stores.valkey._calls._SURVEYED", 2)
    page = survey(("a", 9000, 1), ("b", 8000, 1))
    page[0] = 3  # There is another, between 8000 and 5000 perhaps.
    surveys = [page, survey(("z", 5000, 1))]
    assert choose(surveys, Retention(0, 0, 0)) == (["a", "b"], True)
    assert choose(surveys, Retention(100, 3, 100)) == (["a"], False)
    assert choose([page], Retention(0, 0, 0)) == (["a", "b"], True)
