"""What the servers offer, whatever the wire: runs of known agents, each to its owner."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from trio_agent import (
    Agent,
    AnyMessage,
    CancelAfter,
    Cursor,
    OnDisconnect,
    Receipt,
    Run,
    RunError,
    RunFinish,
    Runtime,
    Subscription,
    UnknownRun,
)
from trio_agent.abc import RunInfo

from .problem import Problem

_MAX_KEY: Final = 255
_MAX_METADATA: Final = 16 << 10
"""Bytes of JSON: metadata is kept and listed as long as its run."""


class Start(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a client says to start a run."""

    prompt: str | None = None
    messages: tuple[AnyMessage, ...] = ()
    agent: str | None = None
    on_disconnect: Literal["continue", "cancel"] | Annotated[float, msgspec.Meta(ge=0)] | None = (
        None
    )
    metadata: dict[str, Any] = {}


class RunView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A run as clients see it."""

    id: str
    agent: str
    status: str
    created_at: int
    cursor: str
    viewers: int
    events: str
    """Where its events are."""
    metadata: dict[str, Any] = {}
    error: dict[str, str] | None = None


class Service:
    """One object behind all wires.

    Args:
        runtime: where runs live.
        agents: what can be run; the first is the one that a client gets who names none.
        on_disconnect: what becomes of a run without viewers unless its client says otherwise.
        not_ready: says why new runs would fail now; None if all is well.
    """

    def __init__(
        self,
        runtime: Runtime,
        agents: Sequence[Agent],
        *,
        on_disconnect: OnDisconnect = "continue",
        not_ready: Callable[[], str | None] = lambda: None,
    ) -> None:
        if not agents:
            raise ValueError("give at least one agent")
        self.runtime = runtime
        self.agents: Mapping[str, Agent] = {agent.name: agent for agent in agents}
        if len(self.agents) < len(agents):
            raise ValueError("two agents have the same name")
        self._on_disconnect = on_disconnect
        self.not_ready = not_ready

    async def wait_ending(self) -> None:
        """Wait until servers are to accept no more connections.

        That is when the runtime was drained; with a shared store as soon as that begins, for
        others can serve its runs.
        """
        runtime = self.runtime
        await (runtime.wait_draining() if runtime.store.shared else runtime.wait_drained())

    async def start(self, owner: str | None, start: Start, *, key: str | None = None) -> Run:
        """Start a run, or find the one that this owner started with the same key."""
        name = next(iter(self.agents)) if start.agent is None else start.agent
        agent = self.agents.get(name)
        if agent is None:
            known = ", ".join(self.agents)
            raise Problem(404, "unknown-agent", f"there is no agent {name!r}; there are: {known}")
        if key is not None and not 0 < len(key) <= _MAX_KEY:
            raise Problem(400, "bad-request", f"an idempotency key has 1 to {_MAX_KEY} characters")
        if len(msgspec.json.encode(start.metadata)) > _MAX_METADATA:
            raise Problem(400, "bad-request", f"metadata has at most {_MAX_METADATA} bytes of JSON")
        try:
            return await self.runtime.start(
                agent,
                start.prompt,
                messages=start.messages,
                on_disconnect=self._policy(start.on_disconnect),
                owner=owner,
                metadata=start.metadata,
                idempotency_key=key,
            )
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

    async def info(self, owner: str | None, run_id: str) -> RunInfo:
        """Tell what the store knows of a run, if it belongs to this owner."""
        info = await self.runtime.store.info(run_id)
        if owner is not None and info.record.owner != owner:
            raise UnknownRun(run_id)
        return info

    async def run(self, owner: str | None, run_id: str) -> Run:
        """Find a run that belongs to this owner."""
        await self.info(owner, run_id)
        return await self.runtime.find(run_id)

    async def subscribe(
        self, owner: str | None, run_id: str, after: Cursor | str | int
    ) -> Subscription:
        """Subscribe to a run that belongs to this owner."""
        return (await self.run(owner, run_id)).subscribe(after=after)

    async def cancel(self, owner: str | None, run_id: str, reason: str) -> Receipt:
        """Cancel a run that belongs to this owner, and wait until it is gone."""
        return await (await self.run(owner, run_id)).cancel(reason)

    async def view(self, owner: str | None, run_id: str) -> RunView:
        """Show a run that belongs to this owner."""
        return self._view(await self.info(owner, run_id))

    async def views(self, owner: str | None, before: str | None, limit: int) -> list[RunView]:
        """Show the runs of this owner, newest first."""
        if before is not None:
            await self.info(owner, before)
        return [self._view(info) for info in await self.runtime.store.find(owner, before, limit)]

    async def delete(self, owner: str | None, run_id: str) -> None:
        """Remove a finished run that belongs to this owner."""
        info = await self.info(owner, run_id)
        if info.active:
            raise Problem(409, "run-active", "the run is active: cancel it first")
        await self.runtime.delete(run_id)

    def _view(self, info: RunInfo) -> RunView:
        record = info.record
        status, error = "active", None
        match info.last and info.last.event:
            case RunFinish(run=run):
                status = run.finish_reason
            case RunError(error=detail):
                status, error = "error", {"code": detail.code, "message": detail.message}
        return RunView(
            id=record.run_id,
            agent=record.agent,
            status=status,
            created_at=record.created_at,
            cursor=str(Cursor(record.run_id, record.epoch, info.tail)),
            viewers=info.viewers,
            events=f"/runs/{record.run_id}/events",
            metadata=dict(record.metadata),
            error=error,
        )
