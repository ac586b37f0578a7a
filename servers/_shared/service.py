"""What the servers offer, whatever the wire: runs of known agents, each to its owner."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import attrs
import msgspec
import trio

from trio_agent import (
    Agent,
    CancelAfter,
    CursorExpired,
    KeyReused,
    MessagePage,
    OnDisconnect,
    Principal,
    Run,
    Runtime,
    TooLarge,
    UnknownBlob,
    UnknownRun,
)
from trio_agent.abc import RunInfo

from .allowed import Allowed
from .guard import Caller, owner_of
from .instead import begin_instead
from .messages import messages_of
from .open_calls import OpenCall, open_calls
from .problem import STORE_AWAY, Problem
from .start import Start
from .store_watch import StoreWatch
from .told import Answer, Message, answer, check_key, say

_CANCEL_WAIT: Final = 30.0
"""Seconds after which a client that cancels, also to start, is told that it takes longer."""

_MAX_METADATA: Final = 16 << 10
"""Bytes of JSON: metadata is kept and listed as long as its run."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@attrs.frozen
class Obstacle:
    """Why a server is not ready."""

    code: str
    category: str
    """For everybody."""
    detail: str | None = None
    """For those who may use the server."""


class Service:
    """One object behind all wires.

    Args:
        runtime: where runs live.
        agents: what can be run; the first is the one that a client gets who names none.
        on_disconnect: what becomes of a run without viewers unless its client says otherwise.
        not_ready: says why new runs would fail now; None if all is well.
        allow_options: names of the options that a client may set for its run; by default none.
        allow_limits: names of the limits that it may lower, such as ``maxTokens``; by default
            none.
        allow_client_tools: whether a client may bring tools of its own, whose calls it answers.

    Raises:
        ValueError: there are no agents, or two have the same name; or there is no such limit.
    """

    def __init__(
        self,
        runtime: Runtime,
        agents: Sequence[Agent],
        *,
        on_disconnect: OnDisconnect = "continue",
        not_ready: Callable[[], str | None] = lambda: None,
        allow_options: Iterable[str] = (),
        allow_limits: Iterable[str] = (),
        allow_client_tools: bool = False,
    ) -> None:
        if not agents:
            raise ValueError("give at least one agent")
        self.runtime = runtime
        self.agents: Mapping[str, Agent] = {agent.name: agent for agent in agents}
        if len(self.agents) < len(agents):
            raise ValueError("two agents have the same name")
        self._on_disconnect = on_disconnect
        self._not_ready = not_ready
        self._allowed = Allowed(allow_options, allow_limits, allow_client_tools)
        self._store_watch = StoreWatch(runtime.store)

    async def watch_store(self) -> None:
        """Ask the store every second whether it would take a run, for ever.

        Run it beside the servers: without it, `/health/ready` knows nothing of the store.
        """
        await self._store_watch.run()

    def obstacle(self) -> Obstacle | None:
        """Tell why new runs would fail now, from memory; None if all is well."""
        if not self.runtime.accepting:
            return Obstacle("draining", "the server is shutting down")
        if (problem := self._store_watch.problem) is not None:
            return Obstacle("store-unavailable", STORE_AWAY, problem)
        if (problem := self._not_ready()) is not None:
            return Obstacle("not-ready", "a model can't be reached", problem)
        return None

    async def wait_ending(self) -> None:
        """Wait until servers are to accept no more connections.

        That is when the runtime was drained; with a shared store as soon as that begins, for
        others can serve its runs.
        """
        runtime = self.runtime
        await (runtime.wait_draining() if runtime.store.shared else runtime.wait_drained())

    async def start(self, caller: Caller, start: Start, *, key: str | None = None) -> Run:
        """Start a run, or find the one that this caller started with the same key."""
        name = next(iter(self.agents)) if start.agent is None else start.agent
        agent = self.agents.get(name)
        if agent is None:
            known = ", ".join(self.agents)
            raise Problem(404, "unknown-agent", f"there is no agent {name!r}; there are: {known}")
        check_key(key)
        if len(msgspec.json.encode(start.metadata)) > _MAX_METADATA:
            raise Problem(400, "bad-request", f"metadata has at most {_MAX_METADATA} bytes of JSON")
        options = self._allowed.check_options(start.options)
        limits = self._allowed.check_limits(start.limits, agent.limits)
        client_tools = self._allowed.check_client_tools(start.client_tools)
        owner = owner_of(caller)
        try:
            begin = partial(
                self.runtime.start,
                agent,
                start.prompt,
                messages=messages_of(start.messages),
                thread=start.thread,
                after=start.after,
                on_disconnect=self._policy(start.on_disconnect),
                owner=owner,
                claims=caller.claims if isinstance(caller, Principal) else None,
                options=options,
                limits=limits,
                client_tools=client_tools,
                retractable=start.retractable,
                metadata=start.metadata,
                idempotency_key=key,
            )
            if start.thread is None or start.on_busy == "reject":
                return await begin(on_busy=start.on_busy)
            return await begin_instead(
                begin, self.runtime, start.thread, owner, seconds=_CANCEL_WAIT
            )
        except (KeyReused, TooLarge):
            raise
        except ValueError as exc:
            raise Problem(400, "bad-request", str(exc)) from None

    def _policy(self, wanted: str | float | None) -> OnDisconnect:
        match wanted:
            case None:
                return self._on_disconnect
            case "continue" | "cancel":
                return wanted
            case seconds:
                return CancelAfter(float(seconds))

    async def info(self, caller: Caller, run_id: str) -> RunInfo:
        """Tell what the store knows of a run, if it belongs to this caller."""
        with _removed_as_unknown(caller, run_id):
            info = await self.runtime.store.info(run_id)
        if (owner := owner_of(caller)) is not None and info.record.owner != owner:
            raise UnknownRun(run_id)
        return info

    async def infos(
        self, caller: Caller, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        """Tell what the store knows of the runs of this caller, newest first."""
        if before is not None:
            await self.info(caller, before)
        return await self.runtime.store.find(owner_of(caller), before, limit, thread)

    async def run(self, caller: Caller, run_id: str) -> Run:
        """Find a run that belongs to this caller."""
        with _removed_as_unknown(caller, run_id):
            run = await self.runtime.find(run_id)
        if (owner := owner_of(caller)) is not None and run.owner != owner:
            raise UnknownRun(run_id)
        return run

    async def blob(self, caller: Caller, run_id: str, digest: str) -> bytes:
        """Read a file that was given to a run, if that belongs to this caller."""
        await self.info(caller, run_id)
        if not _DIGEST.fullmatch(digest):
            raise UnknownBlob(run_id, digest)
        with _removed_as_unknown(caller, run_id):
            return await self.runtime.store.read_blob(run_id, digest)

    async def messages(self, caller: Caller, run_id: str, after: int) -> MessagePage:
        """Read what a run of this caller was given, and what was said in it."""
        await self.info(caller, run_id)
        with _removed_as_unknown(caller, run_id):
            return await self.runtime.messages(run_id, after=after)

    async def open_calls(self, caller: Caller, info: RunInfo) -> Sequence[OpenCall]:
        """Tell what a run of this caller waits for; nothing if it doesn't."""
        if not info.parked:
            return ()
        with _removed_as_unknown(caller, info.record.run_id):
            return await open_calls(self.runtime.store, info)

    async def answer(self, caller: Caller, run_id: str, said: Answer) -> Mapping[str, object]:
        """Answer a call of a run that belongs to this caller; see `told`."""
        with _removed_as_unknown(caller, run_id):
            return await answer(await self.run(caller, run_id), said, owner_of(caller))

    async def say(self, caller: Caller, run_id: str, said: Message) -> Mapping[str, object]:
        """Tell something to a run that belongs to this caller; see `told`."""
        with _removed_as_unknown(caller, run_id):
            return await say(await self.run(caller, run_id), said, owner_of(caller))

    async def cancel(self, caller: Caller, run_id: str) -> Mapping[str, object] | None:
        """Cancel a run that belongs to this caller, and wait until it is gone.

        Returns the receipt as JSON; None if it is not gone after half a minute.
        """
        run = await self.run(caller, run_id)
        with trio.move_on_after(_CANCEL_WAIT):
            receipt = await run.cancel("requested by a client")
            return {
                "outcome": receipt.outcome,
                "lastOffset": receipt.last_offset,
                "abandoned": receipt.abandoned,
            }
        return None

    async def delete(self, caller: Caller, run_id: str) -> None:
        """Remove a finished run that belongs to this caller."""
        info = await self.info(caller, run_id)
        if info.active:
            raise Problem(409, "run-active", "the run is active: cancel it first")
        await self.runtime.delete(run_id)


@contextmanager
def _removed_as_unknown(caller: Caller, run_id: str) -> Iterator[None]:
    # Whose a removed run was is forgotten, and that there was one is nobody else's business.
    try:
        yield
    except CursorExpired:
        if caller is None:
            raise
        raise UnknownRun(run_id) from None
