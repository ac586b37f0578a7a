"""One run, from its start to its receipt: its worker, its cancel scopes and its end."""

import math
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs
import trio

from .._errors import CursorExpired, FenceLost, StoreUnavailable, UnknownRun
from .._log.store import Store
from .._log.writer import RunLog
from .ending import run_end_of
from .job import Job
from .live_run import LiveRun
from .machine import Machine
from .parking import fall_asleep
from .rebuild import Resumed
from .run import entered
from .turns import encode_turn
from .worker import Worker


class Performer:
    """Performs one run, from its start or from where another worker has left it.

    Args:
        job: what it was given.
        machine: the run's, new or rebuilt.
        run: the run.
        log: where its events go.
        store: where the log is.
        look: sees what the store knows of the run by now.
        resumed: how far it had come, if it goes on.
    """

    def __init__(
        self,
        job: Job,
        machine: Machine,
        run: LiveRun,
        log: RunLog,
        store: Store,
        look: Callable[[str], Awaitable[None]],
        resumed: Resumed | None = None,
    ) -> None:
        self._instruments = job.instruments
        self._closing_bound = job.closing_bound
        self._run = run
        self._log = log
        self._store = store
        self._look = look
        self._shaped = job.order.agent.shape is not None
        self._worker = Worker(
            job,
            job.order.agent,
            machine,
            run,
            log,
            inbox=run.inbox,
            park=self._park,
            resumed=resumed,
        )
        self.handed_over: bool = False
        """Whether somebody else is to go on with the run."""
        log.on_lost = run.stop_as_lost
        if run.record.thread is not None:
            log.turn_of_run = lambda: encode_turn(machine.story.transcript)

    @property
    def asleep(self) -> bool:
        """Whether the run sleeps: it did not end, and nobody holds it."""
        return self._worker.asleep

    async def perform(self) -> None:
        """Run to the end, to sleep, or to where it is to go on elsewhere.

        If cancelled from outside, the run is `cancelled`; its closing events still get
        `closing_bound` seconds to be committed. Whatever fails in a run ends here, as its `error`.
        """
        worker = self._worker
        with entered(self._run), self._instruments.run(worker.desk.context) as measured:
            try:
                with self._run.cancel_scope, self._run.viewer_scope:
                    await worker.work()
            except BaseException as exc:  # noqa: ASYNC103 - what has to go on is raised again
                worker.fail_by(exc)
            finally:
                if worker.asleep:
                    measured.end = run_end_of(worker.machine, outcome="waiting")
                elif self._run.leaving and not worker.machine.done:
                    await self._hand_over()  # noqa: ASYNC102 - shielded and bounded inside
                    measured.end = run_end_of(worker.machine, outcome="handed-over")
                else:
                    worker.finish("cancelled", self._why_cancelled())
                    stored = await self._end()  # noqa: ASYNC102 - shielded and bounded inside
                    measured.end = run_end_of(worker.machine, stored=stored)

    async def _park(self, seen: int, seconds: float) -> bool:
        until = None if seconds == math.inf else seconds
        self._log.letting_go = True
        # Whoever cancels it meanwhile must know whether it sleeps.
        with trio.move_on_after(self._closing_bound, shield=True):
            if await fall_asleep(self._store, self._log.lease, seen, until):
                return True
        self._log.letting_go = False
        await self._look(self._run.id)
        return False

    async def _hand_over(self) -> None:
        self.handed_over = True
        with trio.move_on_after(self._closing_bound, shield=True):
            with suppress(StoreUnavailable, FenceLost):
                await self._log.flush()
            self._log.letting_go = True
            with suppress(StoreUnavailable, UnknownRun, CursorExpired):
                await self._store.release(self._log.lease)
        self._run.leave()

    def _why_cancelled(self) -> str:
        if self._run.cancel_reason is not None:
            return self._run.cancel_reason
        if self._run.viewer_scope.cancel_called:
            return "nobody watches"
        return "the runtime was cancelled"

    async def _end(self) -> bool:
        failure: StoreUnavailable | FenceLost | None = None
        with trio.move_on_after(self._closing_bound, shield=True) as scope:
            try:
                await self._log.flush()
            except (StoreUnavailable, FenceLost) as exc:
                failure = exc
        if scope.cancelled_caught:
            message = "the store did not take the terminal event in time"
            failure = StoreUnavailable(message + _hint_at_clock())
        machine = self._worker.machine
        terminal, result = machine.terminal, machine.result
        assert terminal is not None
        assert result is not None
        if self._shaped:
            result = attrs.evolve(result, output=self._worker.output)
        self._run.end(terminal, result, failure)
        return failure is None


def _hint_at_clock() -> str:
    testing = sys.modules.get("trio.testing")
    if testing is None or not isinstance(trio.lowlevel.current_clock(), testing.MockClock):
        return ""
    if not testing.active_thread_count():
        return ""
    return ": the clock of this test does not wait for threads, see docs/testing.md"
