"""The calls of a run that wait, put to a person in a terminal, one after the other.

- While a question stands in the last line, nothing else is printed: it comes behind it.
- What was shown is what is answered to: the arguments go with the answer, to be compared.
- A question that needs no answer any more, because somebody else has given one, is withdrawn.
- Where nobody can answer, because the input has ended, the answer is no.
"""

from collections import deque
from typing import Any, Final

import trio

from trio_agent import AnyEvent, ToolAnswered, ToolAsked, TrioAgentError
from trio_agent.client import Client

from ._render import Renderer
from ._stdin import Stdin

_YES: Final = frozenset({"y", "yes"})
_NO: Final = frozenset({"", "n", "no"})
_NOBODY: Final = "nobody is there to be asked: the input has ended"


class Questions:
    """Shows a run, and asks.

    Args:
        client: of the run's server.
        run_id: names it.
        renderer: shows its events.
        stdin: where answers come from.
        nursery: where questions wait for them.
    """

    def __init__(
        self, client: Client, run_id: str, renderer: Renderer, stdin: Stdin, nursery: trio.Nursery
    ) -> None:
        self._client = client
        self._run_id = run_id
        self._renderer = renderer
        self._stdin = stdin
        self._nursery = nursery
        self._asked: ToolAsked | None = None
        self._reading = trio.CancelScope()
        self._answered: set[str] = set()
        self._over = False
        self._held: deque[AnyEvent | str] = deque()

    def show(self, news: AnyEvent | str) -> None:
        """Show an event or a note, now or behind the question, and ask if a call waits."""
        if isinstance(news, ToolAnswered):
            self._answered.add(news.tool.id)
        elif not isinstance(news, str):
            self._over = self._over or news.terminal
        if self._asked is None:
            self._print(news)
            return
        self._held.append(news)
        if not self._needs_answer(self._asked):
            self._reading.cancel(reason="the question is withdrawn")

    def _needs_answer(self, asked: ToolAsked) -> bool:
        return not self._over and asked.tool.id not in self._answered

    def _print(self, news: AnyEvent | str) -> None:
        if isinstance(news, str):
            self._renderer.note(news)
            return
        self._renderer.show(news)
        if isinstance(news, ToolAsked) and self._needs_answer(news):
            self._asked = news
            self._nursery.start_soon(self._ask, news)

    async def _ask(self, asked: ToolAsked) -> None:
        answer: dict[str, Any] | None = None
        with trio.CancelScope() as self._reading:
            approval = asked.kind == "approval"
            line = await self._stdin.ask("approve? [y/N] " if approval else "answer: ")
            answer = _meaning(line, approval=approval)
            if line is None:
                print()
        if answer is None:
            print()
            self._renderer.note("it needs no answer any more")
        else:
            try:
                await self._client.answer(
                    self._run_id, asked.tool.id, arguments=asked.tool.input, **answer
                )
            except TrioAgentError as exc:
                self._renderer.note(f"not answered: {exc}")
        self._asked = None
        while self._held and self._asked is None:
            self._print(self._held.popleft())


def is_yes(line: str) -> bool:
    """Whether a line says yes."""
    return line.strip().lower() in _YES


def _meaning(line: str | None, *, approval: bool) -> dict[str, Any]:
    """Return the arguments of `Client.answer`."""
    if line is None:
        return {"approved": False, "reason": _NOBODY}
    if not approval:
        return {"output": line}
    if is_yes(line):
        return {"approved": True}
    said = line.strip()
    # Who says something else than no says why.
    return {"approved": False, "reason": None if said.lower() in _NO else said}
