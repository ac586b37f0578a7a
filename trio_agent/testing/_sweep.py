"""Cancel a scenario at every place where it can be cancelled, one after the other."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import trio
import trio.testing

_STUCK: Final = 3600.0
"""Seconds on the round's clock after which a cancelled scenario is taken for stuck."""


def autojump_clock() -> trio.abc.Clock:
    """Make a clock on which a round takes no time: when all tasks wait, it jumps."""
    return trio.testing.MockClock(autojump_threshold=0)


class Sweep(trio.abc.Instrument):
    """One round of `cancel_sweep`. ``with sweep:`` is the part that is cancelled.

    What stands before and behind that block runs undisturbed: prepare before, check behind.
    """

    def __init__(self, point: int, *, steps: bool) -> None:
        self.reached: int = 0
        """Points that were passed in the block."""
        self._point = point
        self._steps = steps
        self._scope = trio.CancelScope()
        self._inside = False
        self._tasks: set[trio.lowlevel.Task] = set()

    @property
    def interrupted(self) -> bool:
        """Whether the block was cancelled in this round."""
        return self._scope.cancel_called

    def point(self) -> None:
        """Pass one point, which cancels the block if it is this round's."""
        if self._inside:
            if self.reached == self._point:
                self._scope.cancel(reason=f"point {self._point} of a sweep")
            self.reached += 1

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self._inside = True
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._inside = False
        return self._scope.__exit__(exc_type, exc, traceback)

    async def play(self, scenario: Callable[["Sweep"], Awaitable[object]]) -> None:
        """Run the scenario in a `trio.run` of its own."""
        trio.lowlevel.add_instrument(self)
        main = trio.lowlevel.current_task()
        # Steps of Trio's own tasks are no points: they come when they like.
        self._tasks.add(main)
        with trio.fail_after(_STUCK):
            await scenario(self)
        if names := sorted(task.name for task in self._tasks - {main}):
            raise AssertionError(f"tasks outlived the scenario: {', '.join(names)}")

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """A task is about to run to its next checkpoint (called by Trio)."""
        if self._steps and task in self._tasks:
            self.point()

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """A task has begun (called by Trio)."""
        self._tasks.add(task)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """A task has ended (called by Trio)."""
        self._tasks.discard(task)


def cancel_sweep(
    scenario: Callable[[Sweep], Awaitable[object]],
    *,
    steps: bool = True,
    clock: Callable[[], trio.abc.Clock | None] = autojump_clock,
) -> int:
    """Run a scenario again and again, cancelled at its first point, its second, and so on.

    It is over when the scenario ends before it could be cancelled. A point is a step of any task
    between two checkpoints, so the sweep meets every checkpoint. Write the scenario like this::

        async def scenario(sweep: Sweep) -> None:
            store = MemoryStore()
            with sweep:                     # this block is cancelled
                async with open_runtime(store=store) as runtime:
                    ...
            assert ...                      # what holds wherever it was cancelled

        def test_it() -> None:
            cancel_sweep(scenario)

    Each round has a `trio.run` of its own, so this is a sync function: call it from a sync test.
    No task, not even a system task, may outlive the scenario.

    Args:
        scenario: an async function of one `Sweep`, which it enters once.
        steps: False if only calls of `Sweep.point` are points: with real I/O, where the number of
            steps differs from round to round, let an `InterruptingStore` call it.
        clock: makes the clock of each round; by default one that jumps when all tasks wait. A
            jump doesn't wait for threads: with sync tools pass, say,
            ``lambda: trio.testing.MockClock(autojump_threshold=0.01)``; for real I/O
            ``lambda: None``.

    Returns:
        The number of points.

    Raises:
        BaseException: whatever a round raised, with a note that tells its point. A round that is
            stuck for an hour on its clock raises `trio.TooSlowError`.
    """
    point = 0
    while True:
        sweep = Sweep(point, steps=steps)
        try:
            trio.run(sweep.play, scenario, clock=clock())
        except BaseException as exc:
            exc.add_note(f"the scenario was cancelled at point {point}")
            raise
        if not sweep.interrupted:
            return sweep.reached
        point += 1
