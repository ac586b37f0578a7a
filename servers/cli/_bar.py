"""How far a batch is: a moving bar on a terminal, otherwise a line every tenth."""

from typing import Final

import trio

from ._say import Stderr, put, say

_WIDTH: Final = 24


def bar(share: float) -> str:
    """Draw a share, which is 1 at most."""
    return ("#" * int(_WIDTH * min(share, 1.0))).ljust(_WIDTH)


class Bar:
    """Counts what is done and what of it failed, and shows it.

    Args:
        total: inputs.
        done: those that were done before.
        failed: those of them that failed.
    """

    def __init__(self, total: int, done: int, failed: int) -> None:
        self._total = total
        self._done = done
        self._failed = failed
        self._started = trio.current_time()
        self._fresh = 0

    def step(self, *, failed: bool) -> None:
        """Count one more, and show it."""
        self._done += 1
        self._fresh += 1
        self._failed += failed
        self.show()

    def show(self) -> None:
        """Show how far it is."""
        text = f"{self._done}/{self._total}, {self._failed} failed{self._speed()}"
        ended = self._done == self._total
        if Stderr().isatty():
            share = self._done / self._total if self._total else 1.0
            put(f"\r[{bar(share)}] {text}\x1b[K" + ("\n" if ended else ""))
        elif ended or self._done % max(1, self._total // 10) == 0:
            say(text)

    def _speed(self) -> str:
        seconds = trio.current_time() - self._started
        if not self._fresh or not seconds:
            return ""
        text = f", {self._fresh / seconds:.1f}/s"
        missing = self._total - self._done
        return f"{text}, {_duration(seconds / self._fresh * missing)} left" if missing else text


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
