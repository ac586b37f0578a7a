"""Acts as calls of scripts. No server is needed."""

import msgspec
import pytest
from store_kit import deltas, finish, record

from trio_agent._log.log import PAGE_BYTES, Append
from trio_agent.stores.valkey._calls import Calls, member_of, run_of_member, run_of_proposal
from trio_agent.stores.valkey._keys import PARTITIONS, Keys, digest_of
from trio_agent.stores.valkey._script import Call
from trio_agent.stores.valkey._token import new_token

KEYS = Keys("x")
CALLS = Calls(KEYS, lease=1.5)
RUN = KEYS.of_run("r")
SHARED = RUN.partition


@pytest.mark.parametrize(
    ("call", "keys"),
    [
        (CALLS.draft(record("r"), "token")[0], [RUN.draft, RUN.run, RUN.refused]),
        (
            CALLS.reveal("r", None),
            [
                *(RUN.draft, RUN.run, RUN.gone, RUN.refused),
                *(SHARED.index, SHARED.holds, SHARED.leases),
            ],
        ),
        (
            CALLS.reveal("r", "me"),
            [
                *(RUN.draft, RUN.run, RUN.gone, RUN.refused),
                *(SHARED.index, SHARED.holds, SHARED.leases, SHARED.owner("me")),
            ],
        ),
        (CALLS.append(deltas("r", 1)), [RUN.run, RUN.log, SHARED.news]),
        (
            CALLS.append(finish("r", 1)),
            [
                *(RUN.run, RUN.log, SHARED.news),
                *(SHARED.holds, SHARED.leases),
                *(SHARED.finished, SHARED.sizes, SHARED.owned, SHARED.shares),
            ],
        ),
        (
            CALLS.append(finish("r", 1), "staged"),
            [
                *(RUN.run, RUN.log, SHARED.news),
                *(SHARED.holds, SHARED.leases),
                *(SHARED.finished, SHARED.sizes, SHARED.owned, SHARED.shares, "staged"),
            ],
        ),
        (CALLS.read("r", 0, 10), [RUN.run, RUN.log, RUN.gone]),
        (
            CALLS.info("r"),
            [RUN.run, RUN.log, SHARED.holds, SHARED.leases, RUN.viewers, RUN.gone],
        ),
        (CALLS.request_cancel("r", "why"), [RUN.run, SHARED.holds, RUN.gone, SHARED.news]),
        (
            CALLS.remove("r", b'{"owner":"me"}'),
            [
                *(RUN.run, RUN.log, RUN.viewers, RUN.gone),
                *(SHARED.index, SHARED.finished, SHARED.sizes, SHARED.owned, SHARED.shares),
                *(SHARED.news, SHARED.owner("me")),
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
    assert CALLS.append(finish("r", 7)).arguments[-1] == b""
    turn = Append("r", 3, finish("r", 7).entries, {7: b"[7]"}, b"turn")
    assert CALLS.append(turn).arguments[6:] == ["private:7", b"[7]", b"turn"]
    large = Append("r", 3, finish("r", 7).entries, turn=bytes(PAGE_BYTES) + b"more")
    assert CALLS.append(large, "staged").arguments[6:] == [bytes(PAGE_BYTES)]
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
    assert draft["owner"] == digest_of("me")
    alone = CALLS.draft(record("r"), "token")[0].arguments
    assert not {"owner", "thread", "thread_name", "follows", "head"} & {*alone}


@pytest.mark.parametrize(("head", "follows"), [(None, None), ("h", None), ("h", "f")])
def test_what_is_drafted_in_a_thread(head: str | None, follows: str | None) -> None:
    """The record is what servers of former versions can read."""
    threaded = record("r", owner="me", thread="t", head=head, follows=follows)
    [call] = CALLS.draft(threaded, "token")
    draft = dict(zip(call.arguments[2::2], call.arguments[3::2], strict=True))
    assert draft["thread"] == KEYS.of_thread("me", "t").digest
    assert (draft["thread_name"], draft["head"]) == ("t", head or "")
    assert draft.get("follows") == follows
    assert set(msgspec.json.decode(draft["record"])) == {
        *("agent", "created_at", "owner", "metadata", "idempotency_key"),
    }


@pytest.mark.parametrize(
    "call",
    [CALLS.reveal("r", None), CALLS.set_viewers("r", "w", 1)],
    ids=["reveal", "set_viewers"],
)
def test_leases_are_in_milliseconds(call: Call) -> None:
    assert call.arguments[-1] == "1500"


def test_a_thread_has_one_list() -> None:
    for owner in (None, "me"):
        [call] = CALLS.list(owner, b"+", 5, "t")
        assert call.keys == [KEYS.of_thread(owner, "t").runs]


@pytest.mark.parametrize(
    "calls",
    [CALLS.list(None, b"+", 5), CALLS.list("me", b"+", 5), CALLS.survey(9)],
    ids=["list", "list of an owner", "survey"],
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
    assert run_of_proposal(f"{new_token()}:a:ü".encode()) == "a:ü"
