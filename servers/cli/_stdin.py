"""Lines of standard input, each for who asks for it.

Nobody can interrupt a thread that reads a terminal. So a line that comes when whoever asked has
left is for who asks next, and the process ends without the thread.
"""

import sys

import trio


class Stdin:
    """Standard input.

    Args:
        nursery: where it reads.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._send, self._receive = trio.open_memory_channel[str](1)
        self._reading = False

    async def ask(self, prompt: str) -> str | None:
        """Show what is asked for, and return the next line; None at the end of input."""
        print(prompt, end="", flush=True)
        if not self._reading and not self._receive.statistics().current_buffer_used:
            self._reading = True
            self._nursery.start_soon(self._read)
        line = await self._receive.receive()
        return line.rstrip("\n") if line else None

    async def _read(self) -> None:
        line = await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        self._reading = False
        self._send.send_nowait(line)
