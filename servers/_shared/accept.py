"""Accepting connections until a server ends, and ending those that are open.

Rules: a connection never takes what runs need, sockets to their models and files of the store, so
some file descriptors are left alone. One too many is told so. That accepting fails for a while is
logged seldom and costs no CPU time.
"""

import errno
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from .seldom import Seldom

logger = logging.getLogger("trio_agent.servers")

_RESERVE: Final = 1024
"""File descriptors that connections leave, at most; never more than a quarter of all."""

_UNLIMITED: Final = range(sys.maxsize, sys.maxsize)

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE: Final = 0.1
"""Seconds until accepting is tried again. Meanwhile clients wait in the system's queue."""

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
    b"content-length: 85\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
    b'{"error":{"code":"limit-exceeded","message":"too many connections, try again later"}}'
)
_TURNING_AWAY: Final = 2.0
"""Seconds for a client to read that."""

_TURNED_AWAY: Final = 64
"""Clients at one time who are told; more are closed without a word."""


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
        serve: serves one connection to its end; it is closed then.
        listeners: where to accept; closed at the end.
        until: returns when no new connections are to be accepted.
        tell: tells those that are open that this is the end.
        linger: seconds that they may take before they are cut.
        max_connections: connections at one time, or as many as the process may have open files
            for, if that is less; more are answered with 503.
    """
    connections = turned_away = 0
    reserved = _reserved_files()
    full = Seldom()

    async def serve_one(stream: trio.SocketStream) -> None:
        nonlocal connections
        # The system gives the lowest number that is free, so that this tells how many are not.
        number = stream.socket.fileno()
        if connections >= max_connections or number >= reserved.start:
            full.warn("a connection was turned away, there are %d", connections)
            # Telling many takes files, too, for as long as they listen.
            if turned_away < _TURNED_AWAY and number < reserved.stop:
                await turn_away(stream)
            return
        connections += 1
        try:
            await serve(stream)
        except Exception:
            logger.exception("a connection failed by a bug")
        finally:
            connections -= 1

    async def turn_away(stream: trio.SocketStream) -> None:
        nonlocal turned_away
        turned_away += 1
        try:
            await _say_full(stream)
        finally:
            turned_away -= 1

    async with trio.open_nursery() as handlers:
        async with trio.open_nursery() as accepting:
            for listener in listeners:
                accepting.start_soon(_accept, listener, serve_one, handlers)
            await until()
            accepting.cancel_scope.cancel(reason="no more connections")
        await tell()
        handlers.cancel_scope.deadline = trio.current_time() + linger


async def _accept(
    listener: trio.SocketListener,
    serve_one: Callable[[trio.SocketStream], Awaitable[None]],
    handlers: trio.Nursery,
) -> None:
    exhausted = Seldom()
    async with listener:
        while True:
            try:
                stream = await listener.accept()
            except OSError as exc:
                if exc.errno not in _EXHAUSTED:
                    raise
                exhausted.warn("no connection can be accepted: %s", exc.strerror)
                await trio.sleep(_PAUSE)
            else:
                handlers.start_soon(_serve_and_close, serve_one, stream)


async def _serve_and_close(
    serve_one: Callable[[trio.SocketStream], Awaitable[None]], stream: trio.SocketStream
) -> None:
    try:
        await serve_one(stream)
    finally:
        await trio.aclose_forcefully(stream)


async def _say_full(stream: trio.SocketStream) -> None:
    with (
        trio.move_on_after(_TURNING_AWAY),
        suppress(trio.BrokenResourceError, trio.ClosedResourceError),
    ):
        await stream.send_all(_FULL)
        await stream.send_eof()
        # What is unread when a connection is closed makes the system throw the answer away.
        while await stream.receive_some():
            pass


def _reserved_files() -> range:
    """Return the file descriptors that connections have only while they are turned away.

    Behind them are those that they never have.
    """
    try:
        import resource
    except ImportError:
        return _UNLIMITED  # where there is no such limit
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return _UNLIMITED
    reserve = min(limit // 4, _RESERVE)
    return range(limit - reserve, limit - reserve // 2)
