"""Logs in memory, their entries, and the checks of an append."""

import pytest

from trio_agent._events import AnyEvent, RunFinish, RunSummary, TextDelta, Usage
from trio_agent._log.log import PAGE_BYTES, Append, Appended, Entry, Log, first_page

FINISH = RunFinish(at=0, run=RunSummary("r", "", 1, "stop", Usage()))


def delta(text: str) -> AnyEvent:
    return TextDelta(at=0, delta=text)


def append(fence: int, first: int, *events: AnyEvent) -> Append:
    return Append("r", fence, [Entry.of(first + n, event) for n, event in enumerate(events)])


def test_entry() -> None:
    entry = Entry.of(3, delta("x"))
    assert (entry.offset, entry.terminal, entry.event) == (3, False, delta("x"))
    assert Entry.of(1, FINISH).terminal
    read_back = Entry(3, entry.data, False)
    assert read_back.event == delta("x")
    assert read_back.event is read_back.event
    assert Entry(1, b'{"type":"new"}', False).event is None
    assert repr(entry) == f"<Entry 3 {entry.data[:60]!r}>"


def test_append() -> None:
    ours = append(1, 2, delta("x"), FINISH)
    assert (ours.first_offset, ours.last_offset, ours.terminal) == (2, 3, True)
    assert repr(ours) == "<Append to r: 2 to 3>"
    assert not append(1, 2, delta("x")).terminal


ENTRIES = append(1, 2, delta("x"), delta("y")).entries


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, {}),
        ({2: b"a"}, {2: b"a"}),
        ({3: b"a", 2: b"bc"}, {2: b"bc", 3: b"a"}),
        ({0: b"a", 1: b"a", 3: b"b", 4: b"a"}, {3: b"b"}),
        ({9: b"a"}, {}),
    ],
)
def test_what_is_private_beside_entries(given: dict[int, bytes], kept: dict[int, bytes]) -> None:
    ours = Append("r", 1, ENTRIES, given)
    assert ours.private == kept
    assert ours.size == Append("r", 1, ENTRIES).size + sum(map(len, kept.values()))
    given.clear()
    assert ours.private == kept


def test_a_log_keeps_what_is_private_with_its_entries() -> None:
    log = Log(fence=1)
    log.append(append(1, 1, delta("a")))
    for fence, entries, outcome in (
        (2, ENTRIES, Appended.FENCED),
        (1, ENTRIES[1:], Appended.GAP),
        (1, ENTRIES, Appended.COMMITTED),
    ):
        assert log.append(Append("r", fence, entries, {3: b"[3]"})) is outcome
        assert log.private == ({3: b"[3]"} if outcome is Appended.COMMITTED else {})
    size = log.size
    assert size == sum(len(entry.data) for entry in log.entries) + len(b"[3]")
    # A repetition finds it done.
    assert log.append(Append("r", 1, ENTRIES, {2: b"new", 3: b"new"})) is Appended.COMMITTED
    assert (log.private, log.size) == ({3: b"[3]"}, size)


@pytest.mark.parametrize(
    ("closed", "fence", "first", "events", "outcome"),
    [
        (False, 7, 3, [delta("c")], Appended.COMMITTED),
        (False, 7, 3, [FINISH], Appended.COMMITTED),
        (False, 7, 2, [delta("b")], Appended.COMMITTED),
        (False, 7, 1, [delta("a"), delta("b")], Appended.COMMITTED),
        (False, 7, 2, [delta("b"), delta("c")], Appended.GAP),
        (False, 7, 4, [delta("d")], Appended.GAP),
        (False, 6, 3, [delta("c")], Appended.FENCED),
        (False, 8, 3, [delta("c")], Appended.FENCED),
        (False, 6, 1, [delta("a")], Appended.FENCED),
        (True, 7, 4, [delta("d")], Appended.CLOSED),
        (True, 7, 3, [FINISH], Appended.COMMITTED),
        (True, 8, 4, [delta("d")], Appended.FENCED),
    ],
)
def test_checks(
    closed: bool, fence: int, first: int, events: list[AnyEvent], outcome: Appended
) -> None:
    log = Log(fence=7)
    assert log.append(append(7, 1, delta("a"), delta("b"))) is Appended.COMMITTED
    if closed:
        assert log.append(append(7, 3, FINISH)) is Appended.COMMITTED
    before = list(log.entries)
    attempt = append(fence, first, *events)
    assert log.append(attempt) is outcome
    grown = outcome is Appended.COMMITTED and first == len(before) + 1
    assert log.entries == before + (list(attempt.entries) if grown else [])
    assert log.tail == len(log.entries)
    assert log.size == sum(len(entry.data) for entry in log.entries)
    assert log.closed is log.entries[-1].terminal


def test_after() -> None:
    log = Log(fence=1)
    log.append(append(1, 1, delta("a"), delta("b"), delta("c")))
    assert [entry.offset for entry in log.after(1, 1)] == [2]
    assert [entry.offset for entry in log.after(0, 9)] == [1, 2, 3]
    assert not log.after(3, 9)
    assert not log.after(9, 9)


@pytest.mark.parametrize(
    ("sizes", "number"),
    [
        ([], 0),
        ([1], 1),
        ([PAGE_BYTES], 1),
        ([PAGE_BYTES + 1], 1),
        ([PAGE_BYTES + 1, 0], 1),
        ([PAGE_BYTES, 0], 2),
        ([PAGE_BYTES, 1], 1),
        ([1, PAGE_BYTES], 1),
        ([700_000, 300_000, 100_000, 1], 2),
    ],
)
def test_a_page_ends_where_it_would_be_too_big(sizes: list[int], number: int) -> None:
    entries = [Entry(n, b"x" * size, False) for n, size in enumerate(sizes, 1)]
    assert list(first_page(entries)) == entries[:number]


@pytest.mark.parametrize(
    ("private", "number"),
    [({}, 3), ({9: 100}, 3), ({3: 1}, 2), ({1: 10, 2: 11}, 1), ({2: 100}, 1), ({1: 100}, 1)],
)
def test_what_is_private_counts_in_a_page(private: dict[int, int], number: int) -> None:
    entries = [Entry(n, b"x" * 10, False) for n in (1, 2, 3)]
    beside = {offset: bytes(size) for offset, size in private.items()}
    assert list(first_page(entries, 30, beside)) == entries[:number]


def test_what_is_forgotten_is_decoded_again() -> None:
    entry = Entry.of(1, delta("x"))
    entry.forget()
    assert entry.event == delta("x")
    assert entry.readable


def test_what_is_kept_beside_it_counts() -> None:
    log = Log(fence=1, size=100)
    log.append(append(1, 1, FINISH))
    assert log.size == 100 + len(log.entries[0].data)
