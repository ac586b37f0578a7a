"""Accepting connections until a server ends, and ending those that are open."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

logger = logging.getLogger("trio_agent.servers")


async def serve_connections(
    serve: Callable[[trio.SocketStream], Awaitable[None]],
    listeners: Sequence[trio.SocketListener],
    *,
    until: Callable[[], Awaitable[object]],
    tell: Callable[[], Awaitable[None]],
    linger: float,
    max_connections: int,
) -> None:
    """Serve each connection in a task of its own until `until()` returns, then end them.

    If cancelled, connections are cut at once.

    Args:
        serve: serves one connection to its end, and closes it.
        listeners: where to accept; closed at the end.
        until: returns when no new connections are to be accepted.
        tell: tells those that are open that this is the end.
        linger: seconds that they may take before they are cut.
        max_connections: connections at one time; more are closed as they come.
    """
    connections = 0

    async def serve_one(stream: trio.SocketStream) -> None:
        nonlocal connections
        if connections >= max_connections:
            await trio.aclose_forcefully(stream)
            return
        connections += 1
        try:
            await serve(stream)
        except Exception:
            logger.exception("a connection failed by a bug")
        finally:
            connections -= 1

    async with trio.open_nursery() as handlers:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(
                partial(trio.serve_listeners, serve_one, list(listeners), handler_nursery=handlers)
            )
            await until()
            accepting.cancel_scope.cancel(reason="no more connections")
        await tell()
        handlers.cancel_scope.deadline = trio.current_time() + linger
