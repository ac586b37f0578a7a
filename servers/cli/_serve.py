"""``trio-agent serve``: a runtime and its servers, from the first request to a clean exit.

SIGTERM and SIGINT begin the end, and a second one hurries it. SIGHUP, which a closed terminal
sends, does nothing: it is no reason to lose runs.
"""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

from trio_agent import Agent, ModelError, OnDisconnect, Runtime, RuntimeLimits, open_runtime
from trio_agent.abc import Store, open_plain_nursery

from .._shared.guard import Guard
from ..http._app import serve_http
from ..websocket._server import serve_websocket
from ._say import announce, say
from ._usage import UsageError

_CHECK_AGAIN: Final = 5.0
"""Seconds between two looks at a model that can't be reached."""

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
_IGNORED: Final = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()

_LAST_RESPONSES: Final = 10.0
"""Seconds that the last responses may take, behind the grace and the closing bound."""


@attrs.frozen(kw_only=True)
class ServeOptions:
    """What the command line says."""

    agents: Sequence[Agent]
    store: Store
    host: str
    port: int
    ws_port: int | None
    """None: no WebSocket server."""
    guard: Guard
    limits: RuntimeLimits
    on_disconnect: OnDisconnect
    allow_options: Sequence[str]
    allow_limits: Sequence[str]
    allow_client_tools: bool
    grace: float
    heartbeat: float
    keep_alive: float
    max_body: int
    max_connections: int
    root_path: str


@attrs.define
class _Readiness:
    """Whether the models could be reached."""

    problem: str | None = "the model was not checked yet"

    async def check(self, runtime: Runtime, agents: Sequence[Agent]) -> None:
        for agent in agents:
            while True:
                try:
                    await runtime.check_model(agent)
                    break
                except ModelError as exc:
                    self.problem = f"agent {agent.name!r}: {exc}"
                    say(f"not ready: {self.problem}")
                    await trio.sleep(_CHECK_AGAIN)
        self.problem = None


async def serve(options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT, then drain. A second signal ends the process at once.

    Raises:
        UsageError: the address can't be bound, or the agents can't be served together.
    """
    if len({agent.name for agent in options.agents}) < len(options.agents):
        raise UsageError("two agents have the same name")
    readiness = _Readiness()
    with trio.open_signal_receiver(*_ENDING, *_IGNORED) as signals:
        async with (
            open_runtime(
                store=options.store, limits=options.limits, agents=options.agents
            ) as runtime,
            open_plain_nursery() as helpers,
        ):
            async with open_plain_nursery() as servers:
                ws_addresses: list[str] = []
                start_http = partial(
                    serve_http,
                    runtime,
                    options.agents,
                    host=options.host,
                    port=options.port,
                    guard=options.guard,
                    on_disconnect=options.on_disconnect,
                    allow_options=options.allow_options,
                    allow_limits=options.allow_limits,
                    allow_client_tools=options.allow_client_tools,
                    heartbeat=options.heartbeat,
                    keep_alive=options.keep_alive,
                    max_body=options.max_body,
                    max_connections=options.max_connections,
                    root_path=options.root_path,
                    not_ready=lambda: readiness.problem,
                    websocket_port=lambda: _port(ws_addresses[0]) if ws_addresses else None,
                )
                addresses = await _start(servers, start_http, f"{options.host}:{options.port}")
                if options.ws_port is not None:
                    start_websocket = partial(
                        serve_websocket,
                        runtime,
                        options.agents,
                        host=options.host,
                        port=options.ws_port,
                        guard=_guard_for_page(options.guard, addresses),
                        on_disconnect=options.on_disconnect,
                        allow_options=options.allow_options,
                        allow_limits=options.allow_limits,
                        allow_client_tools=options.allow_client_tools,
                        heartbeat=options.heartbeat,
                        max_message=options.max_body,
                        max_connections=options.max_connections,
                    )
                    ws_addresses += await _start(
                        servers, start_websocket, f"{options.host}:{options.ws_port}"
                    )
                announce(" ".join(["ready", *addresses, *ws_addresses]))
                helpers.start_soon(readiness.check, runtime, options.agents)
                number = await _next_ending(signals)
                say(f"{signal.Signals(number).name}: draining, {options.grace:g} s at most")
                bound = options.grace + options.limits.closing_bound + _LAST_RESPONSES
                helpers.start_soon(_end_process, signals, bound)
                await runtime.drain(options.grace)
            helpers.cancel_scope.cancel(reason="all responses have ended")


async def _start(
    servers: trio.Nursery, serve: Callable[..., Awaitable[None]], where: str
) -> list[str]:
    try:
        addresses: list[str] = await servers.start(serve)
    except OSError as exc:
        raise UsageError(f"can't listen on {where}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
    return addresses


def _guard_for_page(guard: Guard, http_addresses: Sequence[str]) -> Guard:
    """Let the pages of our HTTP server in, which to a server on another port are foreign."""
    ports = {_port(address) for address in http_addresses}
    pages = {f"http://{host}:{port}" for host in guard.hosts for port in ports}
    return attrs.evolve(guard, origins=guard.origins | pages)


def _port(address: str) -> int | None:
    return urlsplit(address).port


async def _next_ending(signals: AsyncIterator[int]) -> int:
    while (number := await anext(signals)) in _IGNORED:
        pass
    return number


async def _end_process(signals: AsyncIterator[int], bound: float) -> None:
    # Nobody can kill a thread but the end of the process.
    with trio.move_on_after(bound):
        await _next_ending(signals)
    say("ending at once")
    os._exit(1)
