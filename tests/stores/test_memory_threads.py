"""The threads of a store in memory, without the store: who may begin, what an end leaves."""

from types import SimpleNamespace

import pytest
import trio.testing
from store_kit import record

from trio_agent._errors import ThreadBusy, ThreadMoved, UnknownRun, UnknownThread
from trio_agent._log.surplus import Idle
from trio_agent._log.thread import Turn
from trio_agent.stores._memory_threads import Threads


def ran(
    threads: Threads,
    run_id: str,
    data: bytes = b"{}",
    *,
    thread: str = "t",
    owner: str | None = None,
) -> None:
    """Have a run in a thread, behind its head."""
    try:
        head = threads.get(owner, thread).head
    except UnknownThread:
        head = None
    begun = record(run_id, thread=thread, owner=owner, head=head, follows=head)
    threads.check(begun)
    threads.begin(begun)
    threads.end(begun, data)


async def test_a_run_without_a_thread_is_none_of_their_business() -> None:
    threads = Threads()
    plain = record("a", head="nobody")
    threads.check(plain)
    threads.begin(plain)
    threads.end(plain, b"{}")
    assert threads.list(None, None, 9) == []
    assert threads.size == 0


async def test_one_run_at_a_time_behind_the_head() -> None:
    threads = Threads()
    first = record("a", thread="t")
    threads.check(first)
    threads.begin(first)
    # Who is active is told before the head is compared.
    for head in (None, "nobody"):
        with pytest.raises(ThreadBusy, match="run 'a' is active in the thread 't'") as caught:
            threads.check(record("b", thread="t", head=head))
        assert (caught.value.thread, caught.value.run_id) == ("t", "a")
    threads.check(record("b", thread="other"))
    threads.check(record("b", thread="t", owner="me"))
    threads.end(first, b"{}")
    with pytest.raises(ThreadMoved, match="has the head 'a' now"):
        threads.check(record("b", thread="t"))
    threads.check(record("b", thread="t", head="a"))


async def test_a_check_changes_nothing() -> None:
    threads = Threads()
    threads.check(record("a", thread="t"))
    with pytest.raises(UnknownThread, match="there is no thread 't'"):
        threads.get(None, "t")


async def test_what_an_end_leaves() -> None:
    threads = Threads()
    ran(threads, "a", b"")
    with pytest.raises(UnknownThread):
        threads.get(None, "t")
    ran(threads, "b", b"12")
    ran(threads, "c", b"")
    ran(threads, "d", b"345")
    info = threads.get(None, "t")
    assert (info.head, info.active, info.turns, info.size) == ("d", None, 2, 5)
    assert threads.size == 5
    assert threads.turns(None, "t", "d", 9) == [Turn("d", "b", b"345"), Turn("b", None, b"12")]
    for run_id in ("a", "c", "nobody"):
        with pytest.raises(UnknownRun):
            threads.turns(None, "t", run_id, 9)


async def test_bytes_are_counted_and_given_back() -> None:
    threads = Threads()
    for run_id, thread, owner in (("a", "t", "me"), ("b", "u", "me"), ("c", "t", None)):
        ran(threads, run_id, b"x" * 10, thread=thread, owner=owner)
    ran(threads, "d", b"x", thread="t", owner="you")
    # What nobody owns has no bound, and is not told.
    assert threads.sizes() == {"me": 20, "you": 1}
    assert threads.size == 31
    threads.remove(("me", "t"))
    assert (threads.sizes(), threads.size) == ({"me": 10, "you": 1}, 21)
    with pytest.raises(UnknownThread):
        threads.remove(("me", "t"))


async def test_a_busy_thread_is_neither_idle_nor_removed() -> None:
    threads = Threads()
    ran(threads, "a")
    threads.begin(record("b", thread="t", head="a"))
    assert list(threads.idle()) == []
    with pytest.raises(ThreadBusy):
        threads.remove((None, "t"))
    assert threads.get(None, "t").turns == 1


async def test_those_that_are_idle_come_by_the_end_of_their_last_run(
    mock_clock: trio.testing.MockClock,
) -> None:
    threads = Threads()
    for run_id, thread, owner in (("a", "t", "me"), ("b", "u", None), ("c", "t", "me")):
        mock_clock.jump(1)
        ran(threads, run_id, thread=thread, owner=owner)
    now = trio.current_time()
    mine, nobodys = Idle(("me", "t"), now, 4), Idle((None, "u"), now - 1, 2)
    assert list(threads.idle()) == [nobodys, mine]
    assert list(threads.idle("me")) == [mine]
    assert list(threads.idle("you")) == []


async def test_lists_are_of_one_owner_and_go_on_behind_a_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = iter([5, 5, 6, 6, 6, 6])
    clock = SimpleNamespace(time_ns=lambda: next(at) * 1_000_000)
    monkeypatch.setattr("trio_agent.stores._memory_threads.time", clock)
    threads = Threads()
    for run_id, name in (("a", "late"), ("b", "x"), ("c", "y")):
        ran(threads, run_id, thread=name, owner="me")
    names = ["y", "x", "late"]
    assert [info.thread for info in threads.list("me", None, 9)] == names
    assert [info.updated_at for info in threads.list("me", None, 9)] == [6, 6, 5]
    assert threads.list(None, None, 9) == []
    for n, info in enumerate(threads.list("me", None, 9)):
        behind = threads.list("me", info.cursor, 1)
        assert [each.thread for each in behind] == names[n + 1 : n + 2]
