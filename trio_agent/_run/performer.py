"""One run, from its start to its receipt: its worker, its cancel scopes and its end."""

import sys

import attrs
import trio

from .._errors import FenceLost, StoreUnavailable
from .._log.writer import RunLog
from .ending import run_end_of
from .job import Job
from .live_run import LiveRun
from .run import entered
from .worker import Worker


class Performer:
    """Performs one run."""

    def __init__(self, job: Job, run: LiveRun, log: RunLog) -> None:
        self._instruments = job.instruments
        self._closing_bound = job.closing_bound
        self._run = run
        self._log = log
        self._shaped = job.order.agent.shape is not None
        self._worker = Worker(job, job.order.agent, job.messages, run, log)
        log.on_lost = run.stop_as_lost

    async def perform(self) -> None:
        """Run to the end. Whatever happens, the log gets its terminal event, or is lost.

        If cancelled from outside, the run is `cancelled`; its closing events still get
        `closing_bound` seconds to be committed. Whatever fails in a run ends here, as its `error`.
        """
        worker = self._worker
        with entered(self._run), self._instruments.run(worker.context) as measured:
            try:
                with self._run.cancel_scope, self._run.viewer_scope:
                    await worker.work()
            except BaseException as exc:  # noqa: ASYNC103 - what has to go on is raised again
                worker.fail_by(exc)
            finally:
                worker.finish("cancelled", self._why_cancelled())
                stored = await self._end()  # noqa: ASYNC102 - shielded and bounded inside
                measured.end = run_end_of(worker.machine, stored=stored)

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
