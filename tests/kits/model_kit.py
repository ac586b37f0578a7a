"""What tests of models share: an `emit` that keeps what it is given."""

import trio

from trio_agent.models._model import Emit
from trio_agent.models._parts import EmittedPart


class Emitted(list[EmittedPart], Emit):
    """The parts; `calls` has those of each call together, `event` is set by the first."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[EmittedPart, ...]] = []
        self.event = trio.Event()

    def nowait(self, *parts: EmittedPart) -> bool:
        assert parts
        self.extend(parts)
        self.calls.append(parts)
        self.event.set()
        return False

    async def room(self) -> None:
        await trio.lowlevel.checkpoint()
