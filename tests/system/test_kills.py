"""Real servers that are killed, stopped and drained; their logs and their clients go on.

Runs of agents that are to end with their worker do. (`test_continuing` has those that go on.) Kills
come at random places of a stream. Their seed is printed: `KILL_SEED` repeats it, as far as
processes can be made to repeat themselves.
"""

import json
import random
import signal
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from log_kit import within
from process_agents import WANTED_BACK
from process_forks import Way, open_forks, open_ways
from process_kit import PATIENCE, Viewer, Viewers, free_port, logged, open_server
from store_kit import whole_log
from valkey_kit import ValkeyServer

from trio_agent import (
    AssistantMessage,
    ModelFinished,
    Nested,
    Receipt,
    RunContinued,
    RunError,
    RunFailed,
    RunFinish,
    SQLiteStore,
    ToolCall,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
    ValkeyStore,
    open_runtime,
)
from trio_agent.abc import Store
from trio_agent.client import open_client

KILLS = 20
"""With SQLite, and with Valkey where another server goes on."""


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}"


async def outcomes_of(store: Store, viewers: list[Viewer]) -> Counter[str]:
    """Check all that was seen against the logs; count how runs ended."""
    async with store.open():
        for viewer in viewers:
            await check_answers(store, viewer.run_id)
        return Counter([await viewer.check(store) for viewer in viewers])


async def check_answers(store: Store, run_id: str) -> None:
    """Each answer came with its calls, and with what its provider wants back."""
    entries = await whole_log(store, run_id)
    for entry, following in pairwise(entries):
        if isinstance(entry.event, ModelFinished):
            [private] = await store.read_private(run_id, [entry.offset])
            assert json.loads(private) == WANTED_BACK
            asked = entry.event.reason == "tool-calls"
            assert isinstance(following.event, ToolCall) == asked


def continued_in(viewer: Viewer) -> list[str]:
    """Why the run went on, each time."""
    events = [event.event for event in viewer.events]
    return [event.reason for event in events if isinstance(event, RunContinued)]


async def read_log(store: Store, run_id: str) -> list[tuple[str, str]]:
    async with store.open():
        return await logged(store, run_id)


def add_ending(group: Viewers, life: int, rng: random.Random) -> list[Viewer]:
    """Add viewers of new runs that end with their worker."""
    return [group.add(f"{life}-{n}", str(rng.randrange(12)), "ending") for n in range(3)]


async def kill_again_and_again(
    rng: random.Random, dying: Way, watched: Way, kills: int
) -> list[Viewer]:
    """Kill a server while three viewers, on it or on another, follow new runs of each life."""
    group = Viewers(watched.http)

    async def view(viewer: Viewer) -> None:
        await dying.start(viewer)
        await viewer.follow(watched.http)

    async with trio.open_nursery() as nursery:
        for life in range(kills):
            await dying.server.start()
            new = [group.add(f"{life}-{n}", str(rng.randrange(12)), "ending") for n in range(3)]
            for viewer in new:
                nursery.start_soon(view, viewer)
            await group.until_moment(new, rng.randrange(60))
            await dying.server.kill()
        await dying.server.start()
    return group.viewers


class TestSQLite:
    async def test_killed_at_random_moments(self, rng: random.Random, tmp_path: Path) -> None:
        path = tmp_path / "runs.db"
        async with (
            open_forks(tmp_path) as forks,
            open_ways([forks.server(f"sqlite:{path}")]) as [way],
        ):
            viewers = await kill_again_and_again(rng, way, way, KILLS)
        outcomes = await outcomes_of(SQLiteStore(path, follow=True), viewers)
        assert outcomes.keys() <= {"stop", "worker-lost"}
        assert outcomes["stop"] > 0
        assert outcomes["worker-lost"] > KILLS / 2
        assert sum(outcomes.values()) == 3 * KILLS

    async def test_open_tool_call_is_answered_unknown(self, tmp_path: Path) -> None:
        path, port = tmp_path / "runs.db", free_port()
        with trio.fail_after(PATIENCE):
            async with (
                open_client(url_of(port), patience=PATIENCE) as client,
                trio.open_nursery() as nursery,
            ):
                group = Viewers(client)
                group.up.set()
                viewer = group.add("key", "2", agent="staring")
                async with open_server(f"sqlite:{path}", port=port, cwd=tmp_path) as server:
                    nursery.start_soon(viewer.run)
                    await group.until(
                        lambda: viewer.events and isinstance(viewer.events[-1].event, ToolCall)
                    )
                    await server.kill()
                async with open_server(f"sqlite:{path}", port=port, cwd=tmp_path):
                    await group.until(lambda: viewer.ended)
        assert await outcomes_of(SQLiteStore(path, follow=True), [viewer]) == {"stop": 1}
        events = [event.event for event in viewer.events]
        [at] = [n for n, event in enumerate(events) if isinstance(event, RunContinued)]
        called, continued, result, *_ = events[at - 1 :]
        assert isinstance(called, ToolCall)
        assert continued == RunContinued(at=continued.at, reason="worker-lost")
        assert isinstance(result, ToolResult)
        assert (result.tool.id, result.tool.status) == (called.tool.id, "unknown")
        assert viewer.reconnects > 0

    async def test_killed_within_a_sub_agent(self, tmp_path: Path) -> None:
        path, port = tmp_path / "runs.db", free_port()
        with trio.fail_after(PATIENCE):
            async with (
                open_client(url_of(port), patience=PATIENCE) as client,
                trio.open_nursery() as nursery,
            ):
                group = Viewers(client)
                group.up.set()
                viewer = group.add("key", "go", agent="team")

                def in_the_tool() -> bool:
                    seen = [each for event in viewer.events if (each := event.event) is not None]
                    return any(isinstance(e, ToolCall) for e in within(seen, "1", "1/1"))

                async with open_server(f"sqlite:{path}", port=port, cwd=tmp_path) as server:
                    nursery.start_soon(viewer.run)
                    await group.until(in_the_tool)
                    await server.kill()
                async with open_server(f"sqlite:{path}", port=port, cwd=tmp_path):
                    await group.until(lambda: viewer.ended)
        assert await outcomes_of(SQLiteStore(path, follow=True), [viewer]) == {"worker-lost": 1}
        # One result closes all that is open below.
        [*rest, result, end] = [event.event for event in viewer.events]
        assert isinstance(result, ToolResult)
        assert (result.tool.id, result.tool.status) == ("1", "unknown")
        assert isinstance(rest[-1], Nested)
        assert isinstance(end, RunError)
        assert end.usage == Usage(30, 15, 45)
        async with open_runtime(store=SQLiteStore(path)) as runtime:
            with pytest.raises(RunFailed, match="worker-lost") as caught:
                await (await runtime.find(viewer.run_id)).wait()
        left = caught.value.result
        assert left is not None
        assert (left.text, left.steps, left.usage) == ("Well. ", 1, end.usage)
        asked, said, outcome = left.messages
        assert asked == UserMessage("go")
        assert isinstance(said, AssistantMessage)
        assert [call.id for call in said.tool_calls] == ["1"]
        assert said.provider == WANTED_BACK
        assert isinstance(outcome, ToolMessage)
        assert (outcome.tool_call_id, outcome.status) == ("1", "unknown")

    async def test_terminated_with_open_streams(self, tmp_path: Path) -> None:
        path = tmp_path / "runs.db"
        async with open_server(f"sqlite:{path}", "--grace", "0", cwd=tmp_path) as server:
            async with (
                open_client(await server.url()) as client,
                trio.open_nursery() as nursery,
            ):
                group = Viewers(client)
                group.up.set()
                viewers = [group.add(str(number), "100000", "ending") for number in range(3)]
                for viewer in viewers:
                    nursery.start_soon(viewer.run)
                await group.until(lambda: all(len(viewer.events) > 5 for viewer in viewers))
                server.process.terminate()
                await group.until(lambda: all(viewer.ended for viewer in viewers))
            assert await server.process.wait() == 0
            assert b"Traceback" not in server.stderr
        assert await outcomes_of(SQLiteStore(path, follow=True), viewers) == {"cancelled": 3}
        assert all(viewer.reconnects == 0 for viewer in viewers)


LEASE = ("--lease", "1")


class TestValkey:
    """A and B are two servers on one Valkey."""

    async def test_killed_at_random_moments(
        self, rng: random.Random, valkey: ValkeyServer, tmp_path: Path
    ) -> None:
        async with open_forks(tmp_path) as forks:
            servers = [forks.server(valkey.url, *LEASE) for _ in range(2)]
            async with open_ways(servers) as [a, b]:
                await b.server.start()
                viewers = await kill_again_and_again(rng, a, b, KILLS)
            assert b"Traceback" not in forks.stderr
        outcomes = await outcomes_of(ValkeyStore(valkey.url), viewers)
        assert outcomes.keys() <= {"stop", "worker-lost"}
        assert outcomes["stop"] > 0
        assert outcomes["worker-lost"] > KILLS / 2
        assert sum(outcomes.values()) == 3 * KILLS
        # B was there all the time.
        assert all(viewer.reconnects == 0 for viewer in viewers)

    async def test_cancelled_through_the_other(self, valkey: ValkeyServer, tmp_path: Path) -> None:
        async with (
            open_server(valkey.url, cwd=tmp_path) as a,
            open_server(valkey.url, cwd=tmp_path) as b,
            open_client(await a.url()) as client_of_a,
            open_client(await b.url()) as client_of_b,
            trio.open_nursery() as nursery,
        ):
            group = Viewers(client_of_a)
            group.up.set()
            viewer = group.add("key", "2", agent="staring")
            nursery.start_soon(viewer.run)
            await group.until(
                lambda: viewer.events and isinstance(viewer.events[-1].event, ToolCall)
            )
            receipt = await client_of_b.cancel(viewer.run_id)
            await group.until(lambda: viewer.ended)
            assert receipt == Receipt("cancelled", len(viewer.events))
            # Again, and on the other, it is the same.
            assert await client_of_b.cancel(viewer.run_id) == receipt
            assert await client_of_a.cancel(viewer.run_id) == receipt
        assert await outcomes_of(ValkeyStore(valkey.url), [viewer]) == {"cancelled": 1}

    async def test_valkey_killed_in_the_middle(self, valkey: ValkeyServer, tmp_path: Path) -> None:
        async with (
            open_server(valkey.url, cwd=tmp_path) as a,
            open_server(valkey.url, cwd=tmp_path) as b,
            open_client(await a.url()) as client_of_a,
            open_client(await b.url()) as client_of_b,
        ):
            group = Viewers(client_of_a)
            group.up.set()
            viewers = [group.add(str(number), "100") for number in range(4)]
            async with trio.open_nursery() as nursery:
                for number, viewer in enumerate(viewers):
                    nursery.start_soon(viewer.run, (client_of_a, client_of_b)[number % 2])
                await group.until(lambda: all(len(viewer.events) > 20 for viewer in viewers))
                valkey.kill()
                assert not any(viewer.ended for viewer in viewers)
                await trio.to_thread.run_sync(valkey.start)
            assert all(viewer.reconnects == 0 for viewer in viewers)
        assert await outcomes_of(ValkeyStore(valkey.url), viewers) == {"stop": 4}

    async def test_stopped_past_its_lease(self, valkey: ValkeyServer, tmp_path: Path) -> None:
        async with (
            open_server(valkey.url, *LEASE, cwd=tmp_path) as a,
            open_server(valkey.url, *LEASE, cwd=tmp_path) as b,
            open_client(await a.url()) as client_of_a,
            open_client(await b.url()) as client_of_b,
            await a.connect() as raw,
        ):
            group = Viewers(client_of_a)
            group.up.set()
            on_a = group.add("key", "200")
            on_b = group.add("key", "200")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(on_a.run)
                nursery.start_soon(on_b.run, client_of_b)
                await group.until(lambda: len(on_a.events) > 5 and len(on_b.events) > 5)
                answer = await raw.watch(f"/runs/{on_a.run_id}/events")
                await a.stop()
                await group.until(lambda: continued_in(on_b) and on_b.ended)
                assert not on_a.ended
                a.process.send_signal(signal.SIGCONT)
                # Its stream is aborted: what comes back from there is no end.
                await raw.receive_body(answer)
                assert not answer.complete
                assert b"run-finish" not in answer.body
                await group.until(lambda: on_a.ended)
            assert on_a.reconnects > 0
            assert on_b.reconnects == 0
            # What it had to say came to nothing.
            assert await outcomes_of(ValkeyStore(valkey.url), [on_a, on_b]) == {"stop": 2}
            assert continued_in(on_b) == ["worker-lost"]
            # It works on.
            viewer = group.add("other", "1")
            await viewer.run()
            assert await outcomes_of(ValkeyStore(valkey.url), [viewer]) == {"stop": 1}

    async def test_drained(self, valkey: ValkeyServer, tmp_path: Path) -> None:
        async with (
            open_server(valkey.url, "--on-disconnect", "cancel", cwd=tmp_path) as a,
            open_server(valkey.url, cwd=tmp_path) as b,
            open_client(await a.url()) as client_of_a,
            open_client(await b.url()) as client_of_b,
            await a.connect() as raw,
        ):
            run_id = await client_of_a.start("200")
            answer = await raw.watch(f"/runs/{run_id}/events")
            await raw.receive_body(answer, until=b"word3 ")
            a.process.terminate()
            await raw.receive_body(answer)
            # Whole, without the terminal event, and told when to come back.
            assert answer.complete
            assert answer.body.count(b"retry: ") == 2
            assert answer.body.splitlines()[-2].startswith(b"retry: ")
            *_, (cursor, last) = answer.events
            assert last["type"] == "text-delta"
            # The run goes on there, seen from here.
            async with client_of_b.subscribe(run_id, after=cursor) as events:
                rest = [event async for event in events]
            assert await a.process.wait() == 0
            log = [cursor for cursor, _ in await read_log(ValkeyStore(valkey.url), run_id)]
            seen = [id_ for id_, _ in answer.events] + [event.cursor for event in rest]
            assert seen == log
            assert isinstance(rest[-1].event, RunFinish)
            assert rest[-1].event.run.finish_reason == "stop"
            assert b"Traceback" not in a.stderr
