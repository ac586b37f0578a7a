"""Making the calls of a step, side by side, while others wait for somebody.

- No tool starts before the world can know of its call, and none that waits before it is allowed.
- What people answer is taken while tools run. Where nothing is left but to wait, the work ends:
  nobody sleeps here.
- Calls that are cut off by a cancel are answered by whoever ends the run.
"""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
import trio

from .._config import AgentConfig
from .._errors import LimitExceeded
from .._events import ToolName, ToolRequest, Wants
from .._instrument.facts import ToolEnd, ToolFacts
from ..tools._call import Outcome, call_tool
from ..tools._context import ToolContext
from .desk import Desk
from .emit import now
from .progress import Progress
from .states import RunTools

logger = logging.getLogger("trio_agent")


class Calls:
    """The calls of one agent.

    Args:
        desk: what it works with.
        run_agent: lets a sub-agent serve a call.
    """

    def __init__(
        self, desk: Desk, run_agent: Callable[[str, AgentConfig, str], Awaitable[Any]]
    ) -> None:
        self._desk = desk
        self._run_agent = run_agent
        self._full = False
        self._begun: set[str] = set()
        self._running = 0
        # Calls of a sub-agent that would have to wait for somebody.
        self._unasked: set[str] = set()
        # Calls that have not returned, and that no sub-agent has served.
        self._unserved: set[str] = set()

    def wants(self, call: ToolRequest) -> Wants | None:
        """Say what a call waits for, if for anything."""
        tool = self._desk.toolset.by_name.get(call.name)
        if tool is None:
            return None
        wanted: Wants | None = "approval"
        try:
            wanted = tool.wants(call.input, self._context(call))
        except Exception:
            run_id = self._desk.run.id
            logger.exception("run %s: whether to approve %s is not known", run_id, call.name)
        if wanted is not None and self._desk.inbox is None:
            self._unasked.add(call.id)
            return None
        return wanted

    async def make(self) -> None:
        """Make what can be made, and take answers, until all have results or wait. A checkpoint.

        Raises:
            LimitExceeded: the output of a tool does not fit into the run's log.
            StoreUnavailable, FenceLost: the log can't be continued.
        """
        desk = self._desk
        await desk.log.flush()
        async with trio.open_nursery() as nursery:
            listening = trio.CancelScope()
            self._begin(nursery, listening)
            if desk.inbox is not None:
                nursery.start_soon(self._listen, nursery, listening)
        if self._full:
            raise LimitExceeded("the output of a tool does not fit into the run's log")
        await desk.log.flush()

    @property
    def none_ready(self) -> bool:
        """Whether all that is open waits for somebody."""
        return not self._ready()

    def _ready(self) -> list[ToolRequest]:
        action = self._desk.machine.action
        calls = action.calls if isinstance(action, RunTools) else ()
        return [call for call in calls if call.id not in self._begun]

    def _begin(self, nursery: trio.Nursery, listening: trio.CancelScope) -> None:
        for call in self._ready():
            self._begun.add(call.id)
            self._running += 1
            nursery.start_soon(self._call, nursery, listening, call)

    async def _listen(self, nursery: trio.Nursery, listening: trio.CancelScope) -> None:
        desk = self._desk
        assert desk.inbox is not None
        with listening:
            while True:
                first = first_deadline(desk)
                with trio.move_on_after(seconds_left(desk)) as waiting:
                    await desk.inbox.changed()
                await expire(desk, first if waiting.cancelled_caught else now())
                await desk.take()
                await desk.log.flush()
                self._begin(nursery, listening)

    async def _call(
        self, nursery: trio.Nursery, listening: trio.CancelScope, call: ToolRequest
    ) -> None:
        desk = self._desk
        name = ToolName(call.id, call.name)
        progress = Progress(name, desk.log, nursery, least=desk.left_free)
        context = self._context(call, progress)
        place = ToolFacts(run=desk.context, step=desk.machine.step, tool=call.name, call_id=call.id)
        self._unserved.add(call.id)
        with desk.instruments.tool(place) as measured:
            try:
                outcome = await self._outcome(call, context)
                progress.flush()
            finally:
                progress.close()
                self._unserved.discard(call.id)
            if len(msgspec.json.encode(outcome)) > desk.log.free:
                self._full = True
                outcome = Outcome("error", "the output does not fit into the run's log")
            status, output, files = outcome
            measured.end = ToolEnd(status=status)
        desk.publish(desk.machine.returned(call.id, status, output, now(), files))
        self._running -= 1
        if not self._running:
            listening.cancel(reason="no call is under way")

    async def _outcome(self, call: ToolRequest, context: ToolContext[Any]) -> Outcome:
        if call.id in self._unasked:
            return Outcome("error", "it waits for somebody, and nobody speaks to a sub-agent")
        return await call_tool(
            self._desk.toolset.by_name,
            call,
            context,
            deadline=self._desk.agent.limits.tool_deadline,
            tell=self._desk.agent.tool_errors,
            on_abandoned=partial(self._abandon, call.id),
        )

    def _context(self, call: ToolRequest, progress: Progress | None = None) -> ToolContext[Any]:
        desk, context = self._desk, self._desk.context
        more: dict[str, Any] = {} if progress is None else {"on_progress": progress}
        return ToolContext[Any](
            run_id=context.run_id,
            agent=context.agent,
            parent=context.parent,
            principal=context.principal,
            metadata=context.metadata,
            thread=context.thread,
            deps=context.deps,
            call_id=call.id,
            on_cancel=desk.run.request_cancel,
            run_agent=partial(self._serve, call.id),
            threads=desk.job.tool_threads,
            **more,
        )

    def _abandon(self, call_id: str) -> None:
        self._desk.run.abandoned.append(call_id)
        self._desk.machine.abandoned(call_id)

    async def _serve(self, call_id: str, agent: AgentConfig, prompt: str) -> Any:
        if call_id not in self._unserved:
            raise RuntimeError(
                "a call is served by one sub-agent, and before it returns: Agent.run runs others"
            )
        self._unserved.remove(call_id)
        return await self._run_agent(call_id, agent, prompt)


def first_deadline(desk: Desk) -> float:
    """Return until when the first call waits that does not for good, in Unix milliseconds."""
    return min(desk.machine.story.deadlines.values(), default=math.inf)


def seconds_left(desk: Desk) -> float:
    """Return the seconds until then."""
    return max(0.0, first_deadline(desk) / 1000 - time.time())


async def expire(desk: Desk, by: float) -> None:
    """End the wait of calls that nobody has answered by then, in Unix milliseconds.

    A checkpoint if there are any. Who has slept until a deadline says so, and does not look at
    another clock.
    """
    for call_id, deadline in tuple(desk.machine.story.deadlines.items()):
        if deadline <= by and desk.inbox is not None:
            await desk.inbox.expire(call_id)
