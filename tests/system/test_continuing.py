"""Runs outlive their servers, which are killed at random moments, again and again.

Steps, tools and sub-agents are under way. The seed is printed: `KILL_SEED` repeats it, as far as
processes can be made to repeat themselves.
"""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from log_kit import at_all_levels
from process_agents import BUSY, noted
from process_forks import Forked, open_forks, open_ways
from process_kit import PATIENCE, Viewer, Viewers
from team_kit import Retold
from valkey_kit import ValkeyServer

from trio_agent import (
    Agent,
    AssistantMessage,
    RunContext,
    RunContinued,
    SQLiteStore,
    StepDiscard,
    ToolCall,
    ToolResult,
    ValkeyStore,
    open_runtime,
)
from trio_agent._log.inbox import Delivered
from trio_agent._run.items import Said, encode_item
from trio_agent.abc import Store
from trio_agent.client import Client
from trio_agent.testing import output

KILLS = 50
"""With SQLite; and with Valkey, of two servers and of three, so many together."""

SAID = ["".join(part for part in step if isinstance(part, str)) for step in BUSY]

SAFE = {"read", "reader"}
"""Tools that may be called twice."""


async def storm(rng: random.Random, servers: Sequence[Forked], kills: int) -> list[Viewer]:
    """Kill servers, one after the other, while two viewers follow each of many runs."""
    async with open_ways(servers) as ways:
        for server in servers:
            await server.start()
        group = Viewers(ways[0].http)
        async with trio.open_nursery() as nursery:
            for kill in range(kills):
                for view in (rng.choice(ways).view, rng.choice(ways).view_over_websocket):
                    nursery.start_soon(view, group.add(str(kill), "go", "busy"))
                going = [viewer for viewer in group.viewers if not viewer.ended]
                seen = sum(len(viewer.events) for viewer in going)
                await group.until_moment(going, seen + rng.randrange(120))
                victim = rng.choice(servers)
                await victim.kill()
                await victim.start()
        for viewer in group.viewers:
            await check_result(ways[0].http, viewer.run_id)
        return group.viewers


async def check_result(client: Client, run_id: str) -> None:
    """Nothing is told twice, nor left out."""
    result = await client.result(run_id)
    assert result is not None
    said = [message for message in result.messages if isinstance(message, AssistantMessage)]
    assert [message.content for message in said] == SAID
    assert (result.text, result.finish_reason) == ("".join(SAID), "stop")


async def check_runs(store: Store, viewers: Sequence[Viewer], folder: Path) -> Counter[str]:
    """Check all that was seen, and what was done; count what the logs tell of the kills."""
    notes = noted(folder)
    told: Counter[str] = Counter()
    async with store.open():
        for viewer in viewers:
            assert await viewer.check(store) == "stop"
            told.update(check_effects(viewer, notes))
    return told


def check_effects(viewer: Viewer, notes: Counter[tuple[str, ...]]) -> Counter[str]:
    """Nothing was done twice that must not be."""
    run_id = viewer.run_id
    events = [each for event in viewer.events if (each := event.event) is not None]
    every = list(at_all_levels(events))
    losses = sum(isinstance(event, RunContinued) for event in events)
    for asked, least, more in (("busy", 4, losses), ("clerk", 0, 0), ("reader", 0, losses)):
        most = {"busy": 4, "clerk": 2, "reader": 1}[asked] + more
        assert least <= notes["asked", run_id, asked] <= most
    results = {event.tool.id: event for event in every if isinstance(event, ToolResult)}
    for event in every:
        if not isinstance(event, ToolCall):
            continue
        name, call_id = event.tool.name, event.tool.id
        result = results.get(call_id)
        ended = result is not None and result.tool.status == "ok"
        if result is not None and not ended:
            assert (result.tool.status, name in SAFE) == ("unknown", False)
        if name == "pay":
            assert ended <= notes["paid", run_id, call_id] <= 1
        elif name == "read":
            assert 1 <= notes["read", run_id, call_id] <= 1 + losses
    discarded = sum(isinstance(event, StepDiscard) for event in events)
    unknown = sum(result.tool.status == "unknown" for result in results.values())
    return Counter(lost=losses, discarded=discarded, unknown=unknown, reconnected=viewer.reconnects)


async def test_one_server_on_sqlite(rng: random.Random, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with open_forks(tmp_path, seconds=3 * PATIENCE) as forks:
        viewers = await storm(rng, [forks.server(f"sqlite:{path}")], KILLS)
        assert b"Traceback" not in forks.stderr, forks.stderr.decode()
    told = await check_runs(SQLiteStore(path, follow=True), viewers, tmp_path)
    assert told["lost"] > KILLS / 2
    assert told["discarded"] > 0
    assert told["unknown"] > 0
    assert told["reconnected"] > KILLS / 2


@pytest.mark.parametrize("count", [2, 3])
async def test_servers_on_valkey(
    count: int, rng: random.Random, valkey: ValkeyServer, tmp_path: Path
) -> None:
    async with open_forks(tmp_path, seconds=3 * PATIENCE) as forks:
        servers = [forks.server(valkey.url, "--lease", "1") for _ in range(count)]
        viewers = await storm(rng, servers, KILLS // 2)
        assert b"Traceback" not in forks.stderr, forks.stderr.decode()
    told = await check_runs(ValkeyStore(valkey.url), viewers, tmp_path)
    assert told["lost"] > KILLS / 8
    assert told["discarded"] > 0
    assert told["unknown"] > 0
    assert told["reconnected"] > KILLS / 2


async def test_told_something_before_its_answer_was_judged(tmp_path: Path) -> None:
    """Whoever goes on judges the answer first, which ends the run here."""
    judging, judged = trio.Event(), trio.Event()

    async def judge(context: RunContext, value: list[int]) -> list[int]:
        judging.set()
        await judged.wait()
        return value

    agent = Agent(
        model=Retold(output({"output": [1, 2]})), output=list[int], output_validators=[judge]
    )
    path = tmp_path / "runs.db"
    async with open_runtime(store=SQLiteStore(path), agents=[agent]) as runtime:
        run_id = (await runtime.start(agent, "hi")).id
        await judging.wait()
        more = encode_item(Said("More!"))
        assert await runtime.store.deliver(run_id, "said:key", more) is Delivered.DELIVERED
        await runtime.drain(0)
    judged.set()
    async with open_runtime(store=SQLiteStore(path), agents=[agent]) as runtime:
        result = await (await runtime.find(run_id)).wait()
    assert (result.output, result.finish_reason) == ([1, 2], "stop")
