"""An emit that remembers whether the model has said anything.

That another model answers is nothing that a model said: it may still be told that of a third.
"""

from ._model import Emit
from ._parts import EmittedPart, is_heard


class WatchedEmit(Emit):
    """Hands all parts on to the emit around which it is."""

    def __init__(self, emit: Emit) -> None:
        self.spoken = False
        """Whether something was said, which can't be taken back."""
        self._emit = emit

    def nowait(self, *parts: EmittedPart) -> bool:
        """Hand these on; see `Emit.nowait`."""
        if not self.spoken:
            self.spoken = any(map(is_heard, parts))
        return self._emit.nowait(*parts)

    async def room(self) -> None:
        """Wait as that one does; see `Emit.room`."""
        await self._emit.room()
