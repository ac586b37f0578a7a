"""CPU per token of a server that streams, ours against the bare passthrough.

Three processes: the upstream, the server, and this one, the client. What counts is the CPU time
(user and system) of the server's process alone, read from its clock before and after each
measurement, so that neither start-up nor the client nor the upstream is in it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

import attrs
import h11
import trio

from benchmarks.languages import LANGUAGES, TOKENS, encoded

STREAMS = 20
ROUNDS = 5
BOUNDS = {50: 1.25, 0: 0.5}
"""By tokens/s per stream (0: full speed): our CPU at most, in terms of the passthrough's."""


@attrs.frozen
class Candidate:
    name: str
    url: str
    pid: int
    request: Callable[[str], tuple[str, bytes]]
    """The target and the body for a prompt."""
    marker: bytes
    """What occurs once per token."""

    async def measure(self, rate: int) -> float:
        """Return microseconds of CPU per token."""
        before = cpu_ns(self.pid)
        async with trio.open_nursery() as nursery:
            answers: list[bytes] = []
            for _ in range(STREAMS):
                nursery.start_soon(self._read_stream, str(rate), answers)
        cpu = cpu_ns(self.pid) - before
        assert [answer.count(self.marker) for answer in answers] == [TOKENS] * STREAMS
        return cpu / 1000 / (STREAMS * TOKENS)

    async def _read_stream(self, prompt: str, answers: list[bytes]) -> None:
        async with post(self.url, *self.request(prompt)) as stream:
            answers.append(_body(b"".join([data async for data in stream])))


@asynccontextmanager
async def post(url: str, target: str, body: bytes) -> AsyncIterator[trio.SocketStream]:
    """Post JSON on a connection of its own and yield it, for the answer."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        "Accept: text/event-stream\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(head.encode() + body)
        yield stream


def cpu_ns(pid: int) -> int:
    # The id of another process's CPU clock is what clock_getcpuclockid(3) computes on Linux.
    return time.clock_gettime_ns((~pid << 3) | 2)


def _body(response: bytes) -> bytes:
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "localhost")]))
    http.receive_data(response)
    body = b""
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Data):
            body += event.data
        else:
            assert isinstance(event, h11.Response), event
    return body


def run_request(prompt: str) -> tuple[str, bytes]:
    return "/runs", json.dumps({"prompt": prompt}).encode()


@asynccontextmanager
async def open_server(*args: str) -> AsyncIterator[tuple[int, str]]:
    """Run a module that prints its address first; yield its process id and that address."""
    async with trio.open_nursery() as nursery:
        command = [sys.executable, "-m", *args]
        process: trio.Process = await nursery.start(
            partial(trio.run_process, command, stdout=subprocess.PIPE, check=False)
        )
        assert process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            line += await process.stdout.receive_some() or sys.exit(f"{args[0]} did not start")
        yield process.pid, line.decode().strip()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_candidates(language: str) -> AsyncIterator[tuple[Candidate, Candidate]]:
    """Start the upstream and both servers: ours, then the baseline."""
    spoken = LANGUAGES[language]
    async with (
        open_server("benchmarks.upstream", language) as (_, base_url),
        open_server("benchmarks.agent_server", base_url, "memory", language) as (our_pid, our_url),
        open_server("benchmarks.passthrough", base_url, language) as (pid, url),
    ):
        yield (
            Candidate("trio-agent", our_url, our_pid, run_request, b'"type":"text-delta"'),
            Candidate("passthrough", url, pid, lambda p: ("/", encoded(spoken, p)), spoken.marker),
        )


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Make the command line of a benchmark that is repeated and has bounds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--check", action="store_true", help="exit 1 if beyond a bound")
    return parser


async def main(
    rates: Iterable[int] = BOUNDS, rounds: int = ROUNDS, language: str = "openai"
) -> bool:
    """Print a table; return whether all is within the bounds."""
    within = True
    async with open_candidates(language) as candidates:
        for rate in rates:
            for candidate in candidates:
                await candidate.measure(0)  # imports, connections, caches
            figures: list[list[float]] = [[], []]
            for _ in range(rounds):
                for candidate, results in zip(candidates, figures, strict=True):
                    results.append(await candidate.measure(rate))
            ours, baseline = map(statistics.median, figures)
            ratio, bound = ours / baseline, BOUNDS[rate]
            within &= ratio <= bound
            speed = f"{rate} tokens/s per stream" if rate else "full speed"
            print(f"{STREAMS} streams of {TOKENS} tokens, {speed}, median of {rounds}:")
            for candidate, results in zip(candidates, figures, strict=True):
                low, middle, high = min(results), statistics.median(results), max(results)
                print(f"  {candidate.name:14}{middle:7.1f} µs/token ({low:.1f} to {high:.1f})")
            print(f"  ratio         {ratio:7.2f} (at most {bound})", flush=True)
    return within


if __name__ == "__main__":
    parser = make_parser(__doc__)
    parser.add_argument("--rate", type=int, choices=BOUNDS, action="append")
    parser.add_argument("--language", choices=LANGUAGES, default="openai")
    options = parser.parse_args()
    ok = trio.run(main, options.rate or BOUNDS, options.rounds, options.language)
    sys.exit(options.check and not ok)
