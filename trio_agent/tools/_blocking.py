"""Notices an async tool that holds up the event loop.

Each step of the tool's own task, from one checkpoint to the next, is timed by a coroutine around
it. That costs tools only, needs no thread, and can't blame the wrong one: a Trio instrument would
be called for every step of every task, and a thread that watches the loop would have to wake it
up all the time. The price: steps of tasks that the tool starts itself are not seen, and a step is
told of when it is over.
"""

import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, TypeVar

R = TypeVar("R")

LONGEST_STEP: Final = 0.5
"""Seconds that a step may take. On a busy machine even short ones take a while."""


@types.coroutine
def notice_blocking(
    work: Coroutine[Any, Any, R],
    on_blocking: Callable[[float], None],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Any, Any, R]:
    """Await `work`; call `on_blocking` with the seconds of the first step that is too long."""
    resume: Callable[[Any], Any] = work.send
    value: Any = None
    told = False
    while True:
        began = clock()
        try:
            trap = resume(value)
        except StopIteration as stop:
            result: R = stop.value
            return result
        finally:
            seconds = clock() - began
            if seconds > LONGEST_STEP and not told:
                told = True
                on_blocking(seconds)
        try:
            value = yield trap
            resume = work.send
        except BaseException as exc:  # noqa: ASYNC103 - it is raised in `work`
            value, resume = exc, work.throw
