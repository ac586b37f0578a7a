"""How far a long piece of work is, and how a terminal shows it."""

import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOBase
from typing import TextIO, TypeAlias

import attrs

_BAR = 20


@attrs.frozen
class Progress:
    """`done` of `total` bytes of `task`, a phrase such as "downloading x"."""

    task: str
    done: int
    total: int


ProgressCallback: TypeAlias = Callable[[Progress], None]
"""Is called from the Trio thread, first with `done=0` before anything is done."""


def no_progress(progress: Progress) -> None:
    """Show nothing."""


def show_progress(file: TextIO | TextIOBase | None = None) -> ProgressCallback:
    """Make a callback that writes to `file`: a moving bar on a terminal, otherwise a few lines.

    Args:
        file: by default standard error.
    """
    file = file or sys.stderr
    terminal = file.isatty()
    shown = -1

    def show(progress: Progress) -> None:
        nonlocal shown
        percent = 100 * progress.done // progress.total
        if not terminal:
            percent -= percent % 10
        if percent == shown:
            return
        shown = percent
        with suppress(OSError):  # who does not look on stops nothing
            write(progress, percent)

    def write(progress: Progress, percent: int) -> None:
        text = f"{progress.task} ({progress.total / 1e6:.0f} MB)"
        if terminal:
            bar = ("#" * (_BAR * percent // 100)).ljust(_BAR)
            end = "\n" if percent == 100 else ""
            file.write(f"\r{text} [{bar}] {percent:3} %{end}")
        else:
            file.write(f"{text}: {percent} %\n")
        file.flush()

    return show
