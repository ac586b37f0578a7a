"""`trio-agent show`: a run of a store as the terminal sees it."""

import json

import attrs
import pytest
import trio
from cli_kit import fill, finish
from log_kit import nested
from trio.testing import MockClock

from trio_agent import (
    MemoryStore,
    RunContinued,
    RunError,
    RunWaiting,
    StepDiscard,
    StepStart,
    TextDelta,
)
from trio_agent._events import AnyEvent, ErrorDetail
from trio_agent.abc import Append, Entry, Lease, RunInfo, Store
from trio_agent.servers.cli._show import show_run
from trio_agent.servers.cli._stores import list_runs
from trio_agent.servers.cli._usage import UsageError
from trio_agent.testing import StoreProxy


class TestShow:
    async def test_text_json_and_status(self, capsys: pytest.CaptureFixture[str]) -> None:
        store = MemoryStore()
        await fill(store, "good", TextDelta(at=0, delta="Hello"), finish())
        await fill(store, "cut", TextDelta(at=0, delta="He"), finish("length"))
        await fill(store, "bad", RunError(at=0, error=ErrorDetail("worker-lost", "it is gone")))
        assert await show_run(store, "good", as_json=False) == 0
        assert capsys.readouterr().out == "Hello\n[stop: 1 steps]\n"
        assert await show_run(store, "cut", as_json=False) == 1
        assert await show_run(store, "bad", as_json=False) == 1
        assert "[worker-lost: it is gone]" in capsys.readouterr().out
        assert await show_run(store, "good", as_json=True) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["type"] for line in lines] == ["text-delta", "run-finish"]

    async def test_long_log(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("trio_agent.servers.cli._show._PAGE", 2)
        store = MemoryStore()
        await fill(store, "r", *[TextDelta(at=0, delta=str(n)) for n in range(7)], finish())
        assert await show_run(store, "r", as_json=False) == 0
        assert capsys.readouterr().out.startswith("0123456\n")

    async def test_what_a_terminal_obeys(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It is escaped in JSON, which stays the same, and left out elsewhere."""
        store = MemoryStore()
        event = TextDelta(at=0, delta="a\x9b31m\u202eb\U0001f600")
        await fill(store, "r", event, finish(), agent="a\tb\n\x9b31m")
        await show_run(store, "r", as_json=True)
        line = capsys.readouterr().out.splitlines()[0]
        assert "a\\u009b31m\\u202eb\U0001f600" in line
        assert json.loads(line) == json.loads(Entry.of(1, event).data)
        await show_run(store, "r", as_json=False)
        assert capsys.readouterr().out.startswith("a31mb\U0001f600\n")
        await list_runs(store)
        assert capsys.readouterr().out.split("\t")[1] == "a b 31m"

    async def test_unknown_run(self) -> None:
        with pytest.raises(UsageError, match="nobody"):
            await show_run(MemoryStore(), "nobody", as_json=False)


BROKEN_OFF: list[AnyEvent] = [
    StepStart(at=0, step_number=1),
    TextDelta(at=0, delta="It is w"),
    RunContinued(at=0, reason="worker-lost"),
    StepDiscard(at=0, step_number=1, from_offset=1, reason="worker-lost"),
    StepStart(at=0, step_number=1),
    TextDelta(at=0, delta="It is cold."),
]
TAKEN_BACK = "[taken back: what step 1 has said; it is asked again (worker-lost)]\n"


async def grow(store: Store, run_id: str, *events: AnyEvent) -> None:
    tail = (await store.info(run_id)).tail
    entries = [Entry.of(offset, event) for offset, event in enumerate(events, tail + 1)]
    await store.append([Append(run_id, 1, entries)])


class TestTakenBack:
    async def test_before_we_looked_it_is_left_out(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store = MemoryStore()
        await fill(store, "r", *BROKEN_OFF, finish())
        assert await show_run(store, "r", as_json=False) == 0
        out = capsys.readouterr().out
        assert out == "[goes on: worker-lost]\nIt is cold.\n[stop: 1 steps]\n"
        # As JSON it is the log.
        await show_run(store, "r", as_json=True)
        assert len(capsys.readouterr().out.splitlines()) == 7

    async def test_while_we_look_it_is_said(
        self, capsys: pytest.CaptureFixture[str], autojump_clock: MockClock
    ) -> None:
        store = MemoryStore()
        await fill(store, "r", *BROKEN_OFF[:2])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: show_run(store, "r", as_json=False))
            await trio.testing.wait_all_tasks_blocked()
            await grow(store, "r", *BROKEN_OFF[2:], finish())
        out = capsys.readouterr().out
        assert out == (
            f"It is w\n[goes on: worker-lost]\n{TAKEN_BACK}It is cold.\n[stop: 1 steps]\n"
        )

    async def test_of_a_sub_agent(self, capsys: pytest.CaptureFixture[str]) -> None:
        store = MemoryStore()
        await fill(store, "r", TextDelta(at=0, delta="Mine."), *nested("c", *BROKEN_OFF), finish())
        # The step began at the offset 2 of the log, and not at 1.
        assert await show_run(store, "r", as_json=False) == 0
        out = capsys.readouterr().out
        assert out.startswith("Mine.\n")
        assert "It is w" not in out


class Deserted(StoreProxy):
    """Its servers may be dead."""

    deserted = False

    async def info(self, run_id: str) -> RunInfo:
        return attrs.evolve(await super().info(run_id), leased=not self.deserted)


class TestNobodyWorksOnIt:
    async def test_it_is_said_once_and_followed_still(
        self, capsys: pytest.CaptureFixture[str], autojump_clock: MockClock
    ) -> None:
        store = Deserted(MemoryStore())
        await fill(store, "r", TextDelta(at=0, delta="It is"))
        with trio.move_on_after(10):
            await show_run(store, "r", as_json=False)
        assert capsys.readouterr() == ("It is", "")
        store.deserted = True
        with trio.move_on_after(10):
            await show_run(store, "r", as_json=False)
        out, err = capsys.readouterr()
        assert out == "It is"
        assert err.count("nobody works on this run: its server is gone") == 1

    async def test_a_run_that_sleeps_is_none_of_these(
        self, capsys: pytest.CaptureFixture[str], autojump_clock: MockClock
    ) -> None:
        store = MemoryStore()
        await fill(store, "r", RunWaiting(at=0, calls=("c",)))
        assert await store.park(Lease("r", 1), 0, None)
        with trio.move_on_after(10):
            await show_run(store, "r", as_json=False)
        out, err = capsys.readouterr()
        assert (out, err) == ("[waiting: 1 of its calls want an answer]\n", "")
