"""CPU per delivery over WebSocket, against server-sent events in the same run of the benchmark.

A server in a process of its own serves both; this process is the clients. As in `http_stream`, only
the CPU time of the server's process counts. The two wires take turns.

What is added to the latency is the time from the moment that the model said a token, which it
puts into the token, to the moment that a client's socket gave it out. The clients' own work is
in it.
"""

import time

import attrs
import trio

ROUNDS = 5
TOKENS = 100
RATE = 50
BOUND = 1.0
"""CPU per delivery over WebSocket at most, in terms of that over server-sent events."""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@attrs.frozen
class Scenario:
    name: str
    runs: int
    viewers: int
    """Of each run."""


SCENARIOS = (Scenario("20 runs, a viewer each", 20, 1), Scenario("1 run, 500 viewers", 1, 500))


@attrs.define
class Viewer:
    """A client that reads bytes and looks for tokens in them: what is in it is the same for both."""

    stream: trio.SocketStream
    tokens: int = 0
    delays: list[float] = attrs.field(factory=list)

    async def read(self) -> None:
        rest = b""
        async for data in self.stream:
            now = time.monotonic()
            *tokens, rest = (rest + data).split(b'"delta":"@')[0:]
            if not tokens:
                continue
            texts = [*tokens[1:], rest] if self.tokens or tokens else []
            del texts
            raise NotImplementedError(now)
