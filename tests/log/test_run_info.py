"""What a store knows of a run beside its log: its record, its state, and lists of both."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from store_kit import finish, record

from trio_agent._errors import KeyReused
from trio_agent._log.log import PAGE_BYTES, Entry
from trio_agent._log.run_info import RunInfo, RunRecord, first_runs


def info(**changes: Any) -> RunInfo:
    plain = RunInfo(
        record=record("a"),
        tail=0,
        size=0,
        last=None,
        fence=1,
        leased=True,
        cancel_reason=None,
        viewers=0,
    )
    return attrs.evolve(plain, **changes)


def test_the_size_of_a_record_is_what_is_kept_of_it() -> None:
    assert record("a").size == len("{}")
    assert record("a", private=b"x" * 7, metadata={"ü": [1]}).size == 7 + len('{"ü":[1]}'.encode())
    assert record("a", blobs={"f0": b"x" * 7, "f1": b"yz"}).size == 7 + 2 + len("{}")


def test_what_is_told_of_a_record_is_not_private() -> None:
    full = record("a", owner="me", private=b"secret", blobs={"f0": b"secret"}, digest="d")
    assert full.told() == record("a", owner="me", digest="d")
    for shown in (repr(full), repr(full.told())):
        assert "secret" not in shown


def big(run_id: str, size: int) -> RunInfo:
    """With so many bytes in a list, half of them of its terminal event."""
    last = Entry(1, b"x" * (size // 2), terminal=True)
    metadata = {"n": "x" * (size - size // 2 - len('{"n":""}'))}
    return info(record=record(run_id, metadata=metadata), last=last)


@pytest.mark.parametrize(
    ("sizes", "limit", "number"),
    [
        ([], 5, 0),
        ([100] * 5, 3, 3),
        ([100] * 5, 9, 5),
        ([PAGE_BYTES, 100], 9, 1),
        ([2 * PAGE_BYTES, 100], 9, 1),
        ([100, PAGE_BYTES], 9, 1),
        ([PAGE_BYTES // 2] * 3, 9, 2),
    ],
)
def test_a_list_ends_where_it_would_be_too_big(sizes: list[int], limit: int, number: int) -> None:
    infos = [big(str(n), size) for n, size in enumerate(sizes)]
    asked: list[str] = []

    def each() -> Iterator[RunInfo]:
        for one in infos:
            asked.append(one.record.run_id)
            yield one

    found = first_runs(each(), limit)
    assert [one.record.run_id for one in found] == [str(n) for n in range(number)]
    assert len(asked) <= number + 1


def test_what_is_told_of_a_run_by_default() -> None:
    assert (info().parked, info().delivered, info().torn) == (False, 0, False)


def test_a_run_is_active_until_its_terminal_event() -> None:
    assert info().active
    assert info(leased=False, cancel_reason="why").active
    [last] = finish("a", 1).entries
    assert not info(tail=1, last=last, leased=False).active


def test_a_record_has_no_owner_and_nothing_private_by_default() -> None:
    plain = RunRecord(run_id="r", epoch="e", agent="a", created_at=0)
    assert (plain.owner, plain.metadata, plain.idempotency_key) == (None, {}, None)
    assert (plain.private, plain.blobs, plain.digest) == (b"", {}, "")
    other = RunRecord(run_id="r", epoch="e", agent="a", created_at=0)
    assert plain == other
    assert plain.metadata is not other.metadata


@pytest.mark.parametrize("known", ["", "1", "2"])
@pytest.mark.parametrize("asked", ["", "1", "2"])
def test_a_key_is_not_for_another_request(known: str, asked: str) -> None:
    if {known, asked} == {"1", "2"}:
        with pytest.raises(KeyReused, match="take a new one"):
            record("a", digest=asked).check_repeats(known)
    else:
        record("a", digest=asked).check_repeats(known)


@pytest.mark.parametrize(("value", "field"), [(record("a"), "epoch"), (info(), "tail")])
def test_what_is_known_is_immutable(value: Any, field: str) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, field, getattr(value, field))
