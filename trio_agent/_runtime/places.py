"""Places for runs: how many may be active at once in a runtime.

A place is taken before anything is awaited for its run, and given back when all of it is gone.
"""

import trio

from .._errors import LimitExceeded


class Places:
    """Those of a runtime.

    Args:
        most: how many there are.
    """

    def __init__(self, most: int) -> None:
        self.open: bool = True
        """Whether they are given out still."""
        self.taken: int = 0
        """Runs that are going on, or about to start."""
        self._most = most
        self._free = trio.lowlevel.ParkingLot()
        self._idle = trio.lowlevel.ParkingLot()

    def take(self) -> None:
        """Count one more active run; `give_back` if it does not start.

        Raises:
            LimitExceeded: all are taken, or no more are given out.
        """
        self.check_open()
        if self.taken >= self._most:
            raise LimitExceeded(f"{self.taken} runs are active, which is the limit")
        self.taken += 1

    def check_open(self) -> None:
        """Make sure that places are given out still.

        Raises:
            LimitExceeded: they are not.
        """
        if not self.open:
            raise LimitExceeded("the runtime is draining: it starts no more runs")

    async def wait(self) -> None:
        """As `take`, but wait while others have all of them. A checkpoint.

        Raises:
            LimitExceeded: no more are given out.
        """
        await trio.lowlevel.checkpoint()
        while self.open and self.taken >= self._most:
            await self._free.park()
        self.take()

    def give_back(self) -> None:
        """Count one active run less."""
        self.taken -= 1
        self._free.unpark()
        if not self.taken:
            self._idle.unpark_all()

    def close(self) -> None:
        """Give out no more."""
        self.open = False
        self._free.unpark_all()

    async def wait_idle(self) -> None:
        """Wait until none is taken. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while self.taken:
            await self._idle.park()
