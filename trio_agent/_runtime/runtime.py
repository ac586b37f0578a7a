"""The runtime owns the nursery in which runs live, the store, and the limits."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import attrs
import trio
from typing_extensions import TypeVar

from .._config import AgentConfig
from .._limits import Limits, OnDisconnect, RuntimeLimits
from .._log.plain import plain_json
from .._log.store import Store
from .._messages import AnyMessage
from .._run.branch import OnBusy, read_branch
from .._run.job import NO_DEPS, Order
from .._run.listed import RunPage, listed
from .._run.message_page import MessagePage, read_messages
from .._run.run import Run
from .._run.settings import read_settings
from .._run.thread_page import (
    Thread,
    ThreadPage,
    TurnPage,
    cursor_text,
    read_cursor,
    read_turns,
    shown,
)
from ..tools._client_tool import ClientTool
from ..tools._context import Principal
from .conversations import Conversations
from .live_runs import LiveRuns
from .map import Mapped, RunInput, map_runs
from .pool import ModelPool
from .starting import Starting, what_was_said

if TYPE_CHECKING:
    # What users pass. All that is used of it is its configuration, which is below.
    from .._agent import Agent

DepsT = TypeVar("DepsT")
OutT = TypeVar("OutT")


@attrs.frozen
class RuntimeStatistics:
    """How busy a runtime is."""

    active: int
    """Runs that are going on."""
    retained: int
    """Finished runs that can still be read."""
    viewers: int
    """Open subscriptions."""


class Runtime:
    """Where runs live. Made by `open_runtime`."""

    def __init__(
        self, store: Store, limits: RuntimeLimits, live: LiveRuns, models: ModelPool
    ) -> None:
        self.store: Store = store
        """Where logs are kept."""
        self.limits: RuntimeLimits = limits
        """The bounds that it was opened with."""
        self._live = live
        self._models = models
        conversations = Conversations(store, limits.max_thread_bytes)
        self._starting = Starting(store, limits, live, conversations, self.find)
        self._draining = trio.Event()
        self._drained = trio.Event()

    @property
    def accepting(self) -> bool:
        """Whether new runs are started still."""
        return self._live.places.open

    async def start(
        self,
        agent: "Agent[DepsT, OutT]",
        prompt: str | None = None,
        *,
        messages: Sequence[AnyMessage] = (),
        thread: str | None = None,
        after: str | None = None,
        on_busy: OnBusy = "reject",
        deps: DepsT = NO_DEPS,
        on_disconnect: OnDisconnect = "continue",
        owner: str | None = None,
        claims: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        client_tools: Iterable[ClientTool | Mapping[str, Any]] = (),
        retractable: bool = True,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Run[OutT]:
        """Start a run; it lives in the runtime, whatever becomes of you. A checkpoint.

        Args:
            agent: what to run.
            prompt: what the user says; behind `messages`, if both are given.
            messages: an earlier transcript, such as `Result.messages`. A file may be one that an
                earlier run of this owner was given (`File.blob`).
            thread: the conversation of this owner that the run is a part of, by a name of your
                choice: it goes on from what was said there, and adds to it what is said now.
            after: the run of the thread that it is to follow, for an answer that is wanted anew,
                or another way to go on; "" to begin anew. By default the one that added last.
            on_busy: what is to be done if a run is active in the thread: nothing is started, or
                that one is cancelled, and waited for.
            deps: what the agent depends on, if it doesn't open that itself (`open_deps`). It must
                serve the run for as long as that lasts.
            on_disconnect: what becomes of the run when nobody watches.
            owner: the principal whose run it is.
            claims: JSON: what else is known of the owner, for the tools. Never shown.
            options: passed to the provider, over the agent's.
            limits: what this run may use: some limits by their names, over the agent's, or all.
            client_tools: tools that whoever asks has: the run waits for who answers their calls.
                As `ClientTool`, or as requests have them: `name`, `description`, `parameters`.
            retractable: whether all who read it can take back what a step has said
                (`StepDiscard`), so that one that breaks off is repeated.
            metadata: JSON of yours, shown wherever the run is listed.
            idempotency_key: with the same key and owner, you get the run that was started first,
                also where no more are started.

        Raises:
            ThreadBusy: a run is active in the thread.
            KeyReused: that run was started with another agent's name, other messages, metadata,
                options or limits.
            LimitExceeded: `max_streams` runs are active, or the runtime is draining.
            TooLarge: the files have more than `max_blob_bytes`, or what was said before in the
                thread has more than `max_thread_bytes`.
            ValueError: nothing was said, a thread can't be called so or has no such run, a call of
                the transcript has no result, a file is none or can't be found, an option or a limit
                can't be had, a client's tool is none or has the name of another, there are claims
                without an owner, or dependencies for an agent that opens its own.
            LogDamaged: what was said before in the thread can't be read: see `after`.
            RuntimeError: `on_busy` would cancel the run that starts it, which waits for its end.
            StoreUnavailable: the store can't take the run.
        """
        if deps is not NO_DEPS and agent.open_deps is not None:
            raise ValueError("the agent opens its dependencies (open_deps): give it no deps")
        branch = read_branch(thread, after, on_busy)
        settings = read_settings(options, limits, client_tools)
        order = Order(
            settings.over(agent),
            declared=agent,
            on_disconnect=on_disconnect,
            principal=_principal(owner, claims),
            deps=deps,
            retractable=retractable,
        )
        said = what_was_said(prompt, messages)
        return await self._starting.start(order, said, settings, branch, metadata, idempotency_key)

    async def _start_in_turn(self, agent: AgentConfig, value: RunInput) -> Run[Any]:
        said = what_was_said(value) if isinstance(value, str) else what_was_said(None, value)
        return await self._starting.start_in_turn(Order(agent), said)

    def map(
        self,
        agent: "Agent[Any, OutT]",
        inputs: Iterable[RunInput],
        *,
        concurrency: int = 8,
        deadline: float | None = None,
    ) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[Mapped[OutT]]]:
        """Run an agent over many inputs and yield a channel of what came of each, as it comes.

        ``async with runtime.map(agent, prompts) as results: async for mapped in results``. Inputs
        are taken as places become free; a slow receiver holds up the next ones. Leaving the
        block cancels what is running.

        While others have all places of the runtime, the next runs wait for one. (In a tool, they
        may wait for the run that they are a part of: until the tool's deadline.)

        Args:
            agent: what to run.
            inputs: prompts or transcripts.
            concurrency: runs at one time; never more than `max_streams`.
            deadline: seconds for each run, which then finishes with `timeout`; by default the
                agent's own.

        Raises:
            ValueError: when entered, if there is no concurrency.
        """
        concurrency = min(concurrency, self.limits.max_streams)
        return map_runs(
            self._start_in_turn, agent, inputs, concurrency=concurrency, deadline=deadline
        )

    async def find(self, run_id: str) -> Run[Any]:
        """Find a run, wherever it lives or lived, by its id. A checkpoint.

        Raises:
            UnknownRun: the store has none with this id.
            CursorExpired: not any more.
            StoreUnavailable: the store can't tell.
        """
        run = self._live.find(run_id)
        if run is not None:
            await trio.lowlevel.checkpoint()
            return run
        info = await self.store.info(run_id)
        # It may have begun to go on here meanwhile.
        return self._live.find(run_id) or self._live.stored(info)

    async def runs(
        self,
        owner: str | None = None,
        *,
        thread: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> RunPage:
        """List runs, newest first, wherever they live or lived. A checkpoint.

        A page may have fewer runs than `limit`, for it is bounded in bytes, too: only the last
        one is empty. Go on with ``before=page.next`` until that is None.

        Args:
            owner: whose runs; by default everybody's.
            thread: only those of this thread of the owner (by default, of nobody).
            before: the id of a run behind which the page begins; by default the newest is first.
            limit: runs of a page, 1 at least.

        Raises:
            ValueError: there is no place for a run.
            UnknownRun: the store has no run `before`.
            CursorExpired: not any more: begin again.
            StoreUnavailable: the store can't tell.
        """
        if limit < 1:
            raise ValueError("limit is at least 1")
        infos = await self.store.find(owner, before, limit, thread)
        runs = tuple(map(listed, infos))
        return RunPage(runs, runs[-1].id if runs else None)

    async def messages(self, run_id: str, *, after: int = 0) -> MessagePage:
        """Return what a run was given and what was said in it, a page at a time. A checkpoint.

        What was said before it in its thread, if it is a part of one, tells `thread_messages`.
        Of an active run it is what was said up to the last step that has ended. Files that
        it was given go by their names (`File.blob`), and what providers want back is left out:
        `Result.messages` of `Run.wait` has all. Go on with ``after=page.next`` until that is None.

        Args:
            run_id: the run.
            after: where the page begins, as the page before it says; 0: what the run was given.

        Raises:
            ValueError: `after` is no such place.
            UnknownRun: the store has none with this id.
            CursorExpired: not any more.
            LogDamaged: what it said can't be read.
            StoreUnavailable: the store can't tell.
        """
        return await read_messages(self.store, run_id, after)

    async def thread(self, thread: str, *, owner: str | None = None) -> Thread:
        """Tell how a thread stands. A checkpoint.

        Args:
            thread: its name.
            owner: whose it is; by default nobody's.

        Raises:
            UnknownThread: the owner has none with this name.
            StoreUnavailable: the store can't tell.
        """
        return shown(await self.store.thread(owner, thread))

    async def threads(
        self, owner: str | None = None, *, before: str | None = None, limit: int = 50
    ) -> ThreadPage:
        """List threads, those first in which something happened last. A checkpoint.

        Go on with ``before=page.next`` until that is None.

        Args:
            owner: whose threads; by default those of nobody.
            before: where the page begins, as the page before it says.
            limit: threads of a page, 1 at least.

        Raises:
            ValueError: there is no place for a thread, or `before` is no such place.
            StoreUnavailable: the store can't tell.
        """
        if limit < 1:
            raise ValueError("limit is at least 1")
        cursor = None if before is None else read_cursor(before)
        infos = await self.store.threads(owner, cursor, limit)
        threads = tuple(map(shown, infos))
        return ThreadPage(threads, cursor_text(infos[-1].cursor) if infos else None)

    async def thread_messages(
        self, thread: str, *, owner: str | None = None, last: str | None = None
    ) -> TurnPage:
        """Return what was said in a thread, the newest page first. A checkpoint.

        What an active run says is there when it has ended. Files go by their names (`File.blob`)
        for as long as their runs are there, and what providers want back is left out. Go on with
        ``last=page.next``, for what was said before, until that is None.

        Args:
            thread: its name.
            owner: whose it is; by default nobody's.
            last: the run that has said the last of the page; by default the head.

        Raises:
            ValueError: that run has said nothing in the thread.
            UnknownThread: the owner has none with this name.
            CursorExpired: it was removed and begun anew in this moment: look again.
            LogDamaged: what was said can't be read.
            StoreUnavailable: the store can't be read now.
        """
        return await read_turns(self.store, owner, thread, last)

    async def delete_thread(self, thread: str, *, owner: str | None = None) -> None:
        """Remove a thread now, all that was said in it, and its runs. A checkpoint.

        Args:
            thread: its name.
            owner: whose it is; by default nobody's.

        Raises:
            ThreadBusy: a run is active in it: cancel that first.
            UnknownThread: the owner has none with this name.
            StoreUnavailable: the store can't remove it now.
        """
        for run_id in await self.store.delete_thread(owner, thread):
            self._live.forget(run_id)

    async def check_model(self, agent: "Agent") -> None:
        """Open an agent's model and see whether it can be reached. A checkpoint.

        Raises:
            ModelError: it can't be opened or reached.
        """
        async with self._models.use(agent.model) as model:
            await model.check()

    async def delete(self, run_id: str) -> None:
        """Remove a finished run now, and the files that it was given. A checkpoint.

        What it has said in a thread stays there, for those that follow it: see `delete_thread`.

        Who still reads its events gets no more of them (`CursorExpired`).

        Raises:
            LimitExceeded: the run is active: cancel it first.
            UnknownRun: there is none with this id.
            CursorExpired: not any more.
            StoreUnavailable: the store can't remove it now.
        """
        await self.store.delete(run_id)
        self._live.forget(run_id)

    async def drain(self, grace: float) -> None:
        """Start no more runs and wait for the active ones; after `grace` seconds they stop here.

        In a durable store, runs of agents that the runtime was opened with (`agents=`) go on
        elsewhere, or when a runtime with them is opened next; others are cancelled. Runs that sleep
        are not waited for. Returns when all are gone; finished runs can be read until the runtime
        closes. A checkpoint; if cancelled, runs are still refused.
        """
        self._live.places.close()
        if self.store.shared:
            self._live.send_viewers_elsewhere()
        self._draining.set()
        with trio.move_on_after(grace):
            await self._live.places.wait_idle()
        self._live.stop_all()
        await self._live.places.wait_idle()
        self._drained.set()

    async def wait_draining(self) -> None:
        """Wait until somebody begins to drain the runtime. A checkpoint."""
        await self._draining.wait()

    async def wait_drained(self) -> None:
        """Wait until somebody has drained the runtime. A checkpoint."""
        await self._drained.wait()

    def statistics(self) -> RuntimeStatistics:
        """Count runs and subscriptions."""
        live = self._live
        return RuntimeStatistics(live.places.taken, live.retained, live.viewers)


def _principal(owner: str | None, claims: Mapping[str, Any] | None) -> Principal | None:
    if owner is not None:
        return Principal(owner, plain_json(dict(claims or {}), "claims"))
    if claims:
        raise ValueError("claims are those of an owner: give the owner, too")
    return None
