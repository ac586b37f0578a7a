"""A client of a trio-agent server.

A start is asked for with a key, so that one whose answer was lost can be asked for again: it is
the same run. No wait for an answer is without a deadline.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import attrs
import msgspec
import trio

from .._errors import LimitExceeded, RunFailed, StoreUnavailable, TrioAgentError
from .._http import TransportError, open_transport
from .._http.words import clean
from .._limits import LIMIT_NAMES, CancelAfter, OnDisconnect
from .._log.cursor import Cursor
from .._messages import AnyMessage
from .._nursery import expect_trio, open_plain_nursery
from .._run.files import files_of
from .._run.kept import without_provider
from .._run.listed import RunPage
from .._run.result import Result
from .._run.run import Receipt
from ._backoff import Backoff
from ._http import MAX_BLOB, HTTPWire
from ._remote import Passing, ServerError, Wire
from ._subscription import RemoteSubscription
from ._websocket import WebSocketWire

_ANSWER_SECONDS: Final = 60.0
"""Within which a request is answered; a server answers a cancel within half a minute."""

MAX_TRANSCRIPT: Final = 64 << 20
"""Bytes of the JSON of all messages of a run; more are not received."""

_SLOWEST: Final = 100_000
"""Bytes of files that are sent or received in a second, at least."""

_BLOB_SECONDS: Final = _ANSWER_SECONDS + MAX_BLOB / _SLOWEST

_T = TypeVar("_T")


@attrs.frozen(eq=False)
class Client:
    """Talks to one server. Made by `open_client`."""

    _wire: Wire
    _patience: float

    async def start(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[AnyMessage] = (),
        agent: str | None = None,
        on_disconnect: OnDisconnect | None = None,
        options: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Start a run and return its id. A checkpoint.

        Arguments as for `Runtime.start`; `agent` is the name of one of the server's, and `options`
        and `limits` are those that it allows: limits by their names, lower than its own. Without an
        `idempotency_key` one is made up. Files go with their data; where they are an earlier
        run's (`File.blob`), with its name only. `AssistantMessage.provider` is left out, because
        servers take it from nobody. If the connection breaks before the answer has come, the
        same is asked for again, with the same key, until there was no connection for `patience`
        seconds: no second run is started.

        Raises:
            ValueError: there is no such limit.
            KeyReused: the key belongs to a run that was asked for with other words.
            LimitExceeded: the server has as many runs as it may have, or is shutting down.
            StoreUnavailable: the server, its store or a proxy has a problem that may pass.
            ServerError: the server refused, or its answer can't be understood.
            TransportError: the server could not be reached; with the code `cut-stream`, whether a
                run was started is unknown, unless you try again with the same key.
        """
        policy = on_disconnect.seconds if isinstance(on_disconnect, CancelAfter) else on_disconnect
        wishes = {
            "prompt": prompt,
            "messages": [without_provider(message) for message in messages] or None,
            "agent": agent,
            "onDisconnect": policy,
            "options": options or None,
            "limits": _in_json(limits) or None,
            "metadata": metadata,
        }
        said = {name: value for name, value in wishes.items() if value is not None}
        key = secrets.token_hex(16) if idempotency_key is None else idempotency_key
        backoff = Backoff(self._patience)
        lost: TransportError | None = None
        while True:
            try:
                return await self._ask(self._wire.start(said, key), _seconds_for(messages))
            except TransportError as exc:
                if lost is None and exc.code != "cut-stream":
                    raise  # the server saw nothing
                lost = lost or exc
            except (LimitExceeded, StoreUnavailable):
                if lost is None:
                    raise
            await backoff.wait(lost)

    @asynccontextmanager
    async def subscribe(
        self, run_id: str, *, after: Cursor | str = ""
    ) -> AsyncIterator[RemoteSubscription]:
        """Follow a run behind a cursor, by default from its start.

        Errors come out of `receive`, when everything before them was received.
        """
        subscription = RemoteSubscription(str(after))
        async with open_plain_nursery() as nursery:
            nursery.start_soon(subscription.follow, self._wire, run_id, self._patience)
            yield subscription
            nursery.cancel_scope.cancel(reason="the subscription was left")

    async def cancel(self, run_id: str) -> Receipt | None:
        """Cancel a run and return the receipt; None if it is not gone after half a minute.

        A checkpoint. Cancelling the wait does not undo the request.

        Raises:
            UnknownRun: the server has no such run.
            CursorExpired: the run is no longer kept.
            LimitExceeded: the server, or a proxy, is asked for too much.
            StoreUnavailable: the server, its store or a proxy has a problem that may pass.
            ServerError: the server refused, or its answer can't be understood.
            TransportError: the server could not be reached.
        """
        return await self._ask(self._wire.cancel(run_id))

    async def info(self, run_id: str) -> dict[str, Any]:
        """Return what the server tells of a run, as JSON. A checkpoint.

        Raises:
            As `cancel`; ServerError `not-supported` over WebSocket, too.
        """
        return await self._ask(self._wire.info(run_id))

    async def result(self, run_id: str) -> Result | None:
        """Return what came of a run, as `Run.wait` tells it; None while it is active. A checkpoint.

        Its messages are those that `messages` returns.

        Raises:
            RunFailed: the run ended with `error`. It has no `result`: ask for `messages`.
            As `messages`.
        """
        ended = await self._ask(self._wire.ended(run_id))
        if ended.status == "active":
            return None
        if ended.error is not None:
            raise RunFailed(clean(ended.error.code), clean(ended.error.message))
        return Result(
            run_id,
            ended.text,
            ended.steps,
            ended.status,
            ended.usage,
            await self.messages(run_id),
            ended.reason,
            ended.text if ended.output is msgspec.UNSET else ended.output,
        )

    async def messages(self, run_id: str) -> tuple[AnyMessage, ...]:
        """Return what was said before and in a run, so that another one can go on from it.

        Of an active run, up to the last step that has ended. Files go by their names
        (`File.blob`); `blob` gets them. More than 64 MiB is not received. A checkpoint.

        Raises:
            As `cancel`; CursorExpired if the log is damaged, ServerError `not-supported` over
                WebSocket, too.
        """
        said: list[AnyMessage] = []
        after, room = 0, MAX_TRANSCRIPT
        while True:
            page, size = await self._ask(self._wire.messages(run_id, after, room))
            said += page.messages
            if page.next is None:
                return tuple(said)
            room -= size
            if page.next <= after or room <= 0:
                message = "the pages of messages have no end, or there is more than 64 MiB"
                raise ServerError(200, "bad-response", message)
            after = page.next

    async def runs(self, *, before: str | None = None, limit: int = 50) -> RunPage:
        """List the runs that you may see, newest first. A checkpoint.

        As `Runtime.runs`; a server does not tell the owners.

        Args:
            before: the id of a run behind which the page begins; by default the newest is first.
            limit: runs of a page, 1 to 500.

        Raises:
            As `cancel`, about the run `before`; ServerError `not-supported` over WebSocket, too.
        """
        return await self._ask(self._wire.runs(before, limit))

    async def delete(self, run_id: str) -> None:
        """Remove a finished run, and the files that it was given. A checkpoint.

        Raises:
            As `cancel`; ServerError `run-active` if it is, `not-supported` over WebSocket, too.
        """
        await self._ask(self._wire.delete(run_id))

    async def blob(self, run_id: str, digest: str) -> bytes:
        """Return a file that was given to a run. A checkpoint.

        One of more than 64 MiB is not received.

        Args:
            run_id: the run.
            digest: the SHA-256 of the file in hexadecimal digits.

        Raises:
            UnknownBlob: the run was given no such file.
            As `cancel`; ServerError `not-supported` over WebSocket, too.
        """
        return await self._ask(self._wire.blob(run_id, digest), _BLOB_SECONDS)

    async def not_ready(self) -> str | None:
        """Return why the server can't start runs now, None if it can. A checkpoint.

        The reason is one printable line. Over WebSocket it is whether the server can be reached.
        """
        try:
            await self._ask(self._wire.check())
        except TrioAgentError as exc:
            return str(exc)
        return None

    async def _ask(self, answer: Awaitable[_T], seconds: float = _ANSWER_SECONDS) -> _T:
        try:
            with trio.fail_after(seconds):
                return await answer
        except trio.TooSlowError:
            message = f"the server did not answer within {seconds:.0f} seconds"
            raise TransportError("cut-stream", message) from None
        except Passing as exc:
            raise exc.error from None


def _in_json(limits: Mapping[str, Any] | None) -> dict[str, Any]:
    names = {name: in_json for in_json, name in LIMIT_NAMES.items()}
    if unknown := sorted((limits or {}).keys() - names.keys()):
        raise ValueError(f"there is no limit {unknown[0]!r}; there are: {', '.join(names)}")
    return {names[name]: value for name, value in (limits or {}).items()}


def _seconds_for(messages: Sequence[AnyMessage]) -> float:
    """Return the time that a server has for its answer: more, the more it has to receive."""
    size = sum(len(file.data or file.url or "") for file in files_of(messages))
    return _ANSWER_SECONDS + size / _SLOWEST


@asynccontextmanager
async def open_client(
    url: str,
    *,
    token: str | None = None,
    patience: float = 60.0,
    heartbeat_deadline: float = 45.0,
    client: Any = None,
) -> AsyncIterator[Client]:
    """Open a client of the server at `url`.

    Args:
        url: such as ``http://127.0.0.1:8000``, or ``ws://127.0.0.1:8001`` for WebSocket. Below a
            path, if the server is mounted there: ``https://example.com/agents``.
        token: sent as a bearer token.
        patience: seconds without a connection after which a subscription gives up.
        heartbeat_deadline: seconds without a sign of life after which a subscription takes its
            connection for dead, and connects anew. A server sends one every 15 seconds; over
            WebSocket the client asks for one.
        client: an `httpx.AsyncClient`, or one with the same API, to use instead of an own one;
            not for WebSocket.

    Raises:
        RuntimeError: this is no Trio task, but asyncio, for instance.
        ValueError: `url` is no URL of a server.
    """
    expect_trio()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
        raise ValueError(f"{url!r} is no URL of a server, such as http://127.0.0.1:8000")
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    if parts.scheme in ("ws", "wss"):
        yield Client(WebSocketWire(url, headers, heartbeat_deadline), patience)
        return
    base_url = f"{parts.scheme}://{parts.netloc}{parts.path}"
    async with open_transport(base_url, client=client) as transport:
        yield Client(HTTPWire(transport, headers, heartbeat_deadline), patience)
