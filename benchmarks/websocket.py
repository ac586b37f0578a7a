"""CPU per delivery over WebSocket, against server-sent events of the same server.

The clients are in this process, the server in another, and only its CPU time counts, as in
`http_stream`. The wires take turns. Each token is the time at which the model said it, so that a
client sees how much latency was added on its way, the client's own wake-up included.
"""

import json
import re
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import attrs
import httpx
import trio

from benchmarks.http_stream import ROUNDS, cpu_ns, make_parser, open_server
from benchmarks.languages import TOKENS

RATE = 50
BOUND = 1.0
"""CPU per delivery over WebSocket at most, in terms of that over server-sent events."""
SCENARIOS = {"20 runs with a viewer each": (20, 1), "1 run with 500 viewers": (1, 500)}

_STAMP = re.compile(rb'"delta":"(\d+) "')
_UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@attrs.frozen
class Measured:
    microseconds: float
    """Of the server's CPU, for each delivered token."""
    delays: list[float]
    """Milliseconds from the model to the client."""


@attrs.define
class Viewer:
    """Reads bytes, the same way on both wires, until the run's end."""

    connection: socket.socket
    delays: list[float] = attrs.field(factory=list)
    _rest: bytes = b""

    def read(self) -> bool:
        """Read what is there and tell whether it was the last."""
        data = self._rest + self.connection.recv(1 << 16)
        now = time.perf_counter_ns()
        end = 0
        for stamp in _STAMP.finditer(data):
            self.delays.append((now - int(stamp[1])) / 1e6)
            end = stamp.end()
        self._rest = data[end:]
        return b'"run-finish"' in self._rest


@contextmanager
def open_viewer(url: str, run_id: str) -> Iterator[Viewer]:
    """Connect and subscribe."""
    parts = urlsplit(url)
    head = f"Host: {parts.netloc}\r\n"
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        if parts.scheme == "http":
            connection.sendall(f"GET /runs/{run_id}/events HTTP/1.1\r\n{head}\r\n".encode())
            marker = b"retry:"
        else:
            connection.sendall(f"GET / HTTP/1.1\r\n{head}{_UPGRADE}\r\n".encode())
            while b"\r\n\r\n" not in connection.recv(1 << 16):
                pass
            request = json.dumps({"type": "subscribe", "runId": run_id}).encode()
            # A mask of zeros leaves it as it is.
            connection.sendall(b"\x81%c\0\0\0\0%b" % (0x80 | len(request), request))
            marker = b'"subscribed"'
        data = b""
        while marker not in data:
            data += connection.recv(1 << 16)
        yield Viewer(connection, rest=data)


def watch(pid: int, http_url: str, url: str, runs: int, viewers: int) -> Measured:
    """Start the runs over HTTP and watch them at `url` until all viewers have seen the end."""
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        with httpx.Client(base_url=http_url, trust_env=False) as client:
            for _ in range(runs):
                run = client.post("/runs", json={"prompt": str(RATE)}).raise_for_status().json()
                for _ in range(viewers):
                    viewer = stack.enter_context(open_viewer(url, run["id"]))
                    selector.register(viewer.connection, selectors.EVENT_READ, viewer)
        watching: list[Viewer] = [key.data for key in selector.get_map().values()]
        for key, _ in selector.select(0):
            key.data.read()  # what was said while others were connecting
        before, early = cpu_ns(pid), sum(len(viewer.delays) for viewer in watching)
        while selector.get_map():
            for key, _ in selector.select():
                if key.data.read():
                    selector.unregister(key.fileobj)
        cpu = cpu_ns(pid) - before
    assert [len(viewer.delays) for viewer in watching] == [TOKENS] * len(watching)
    # What was said while others were connecting is late for another reason than the wire.
    live = [delay for viewer in watching for delay in viewer.delays[TOKENS // 2 :]]
    return Measured(cpu / 1000 / (len(watching) * TOKENS - early), live)


async def main(rounds: int = ROUNDS) -> bool:
    """Print a table; return whether all is within the bound."""
    within = True
    async with open_server("benchmarks.both_wires") as (pid, addresses):
        http_url, ws_url = addresses.split()
        for name, (runs, viewers) in SCENARIOS.items():
            figures: dict[str, list[Measured]] = {http_url: [], ws_url: []}
            for _ in range(rounds):
                for url, results in figures.items():
                    results.append(
                        await trio.to_thread.run_sync(watch, pid, http_url, url, runs, viewers)
                    )
            print(f"{name}, {RATE} tokens/s, median of {rounds}:")
            medians = []
            for wire, results in zip(("SSE", "WebSocket"), figures.values(), strict=True):
                costs = [measured.microseconds for measured in results]
                delays = sorted(delay for measured in results for delay in measured.delays)
                medians.append(statistics.median(costs))
                print(
                    f"  {wire:10}{medians[-1]:7.1f} µs/delivery"
                    f" ({min(costs):.1f} to {max(costs):.1f}),"
                    f" added latency p50 {delays[len(delays) // 2]:.1f} ms,"
                    f" p99 {delays[len(delays) * 99 // 100]:.1f} ms"
                )
            ratio = medians[1] / medians[0]
            within &= ratio <= BOUND
            print(f"  ratio     {ratio:7.2f} (at most {BOUND})", flush=True)
    return within


if __name__ == "__main__":
    options = make_parser(__doc__).parse_args()
    ok = trio.run(main, options.rounds)
    sys.exit(options.check and not ok)
