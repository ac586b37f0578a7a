"""``trio-agent chat``: a conversation in the terminal, over a server.

- What is said at a prompt is a run of one thread, in which the server has what was said before.
- What runs in the thread when we come, or when it is busy, is shown, and asks its questions here:
  a conversation goes on where it was left.
- What is answered again, and behind what, is asked of the server each time: others may talk in the
  thread, too. What was not shown here is shown before anything takes its place.
"""

import secrets
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Final

import attrs
import trio

from trio_agent import (
    Content,
    File,
    Text,
    ThreadBusy,
    TrioAgentError,
    TurnPage,
    UnknownThread,
    UserMessage,
)
from trio_agent.abc import open_plain_nursery
from trio_agent.client import Client

from ._past import last_lines, said_last
from ._questions import Questions
from ._render import Renderer
from ._stdin import Stdin

_AGAIN: Final = "/again"
"""Said at the prompt, it asks for another answer to what was said last."""


async def chat(
    client: Client,
    *,
    thread: str | None = None,
    agent: str | None = None,
    files: Sequence[File] = (),
    stays: bool = False,
) -> int:
    """Talk until the end of input, or Ctrl-C at the prompt; returns the status of the process.

    Ctrl-C during an answer cancels its run; the conversation goes on. Answers to calls that wait
    are lines of the input, too, wherever that comes from.

    Args:
        client: of the server.
        thread: the conversation that this is a part of; by default a new one.
        agent: who answers, of the server's agents; by default its first.
        files: go with what is said first.
        stays: whether one can come back to the conversation.
    """
    renderer = Renderer(sys.stdout)
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        async with open_plain_nursery() as nursery:
            stdin = Stdin(nursery)
            name = f"chat-{secrets.token_hex(4)}" if thread is None else thread
            talk = _Conversation(client, name, agent, files, renderer, stdin, interrupts)
            if thread is not None:
                await talk.come_back()
            elif stays:
                renderer.note(f"a new thread; to come back to it: --thread {name}")
            while (prompt := await talk.read_prompt()) is not None:
                if prompt.strip():
                    await talk.say(prompt)
            nursery.cancel_scope.cancel(reason="the conversation is over")
    return 0


@attrs.define
class _Said:
    """What was said."""

    message: UserMessage
    key: str = attrs.field(factory=lambda: secrets.token_hex(16))
    """With it, it is said once, however often that is tried."""
    run_id: str | None = None
    """The run that answers it; None if none is known."""


@attrs.define(eq=False)
class _Conversation:
    _client: Client
    _thread: str
    _agent: str | None
    _files: Sequence[File]
    _renderer: Renderer
    _stdin: Stdin
    _interrupts: AsyncIterator[int]
    _said: _Said | None = None
    """What was said here last, unless it was answered again since."""
    _shown: set[str] = attrs.field(factory=set)
    """Runs of the thread that were shown here."""

    async def come_back(self) -> None:
        """Show where the conversation was left, and what runs in it now."""
        try:
            thread = await self._client.thread(self._thread)
            page = await self._client.thread_messages(self._thread)
        except UnknownThread:
            self._renderer.note(f"the thread {self._thread} is new")
            return
        except TrioAgentError as exc:
            self._renderer.note(f"the thread {self._thread} can't be looked at: {exc}")
            return
        # Not all that were ever there, of which some were answered again.
        turns = f"{len(page.turns)}{'' if page.next is None else ' and more'}"
        self._renderer.note(f"the thread {self._thread} goes on; turns so far: {turns}")
        self._recall(page)
        if thread.active is not None:
            self._renderer.note(f"run {thread.active} is active in it; Ctrl-C cancels it")
            await self._follow_well(thread.active)

    async def read_prompt(self) -> str | None:
        """Return the next line, None at the end of input or on Ctrl-C."""
        line: str | None = None

        async def read(scope: trio.CancelScope) -> None:
            nonlocal line
            line = await self._stdin.ask("> ")
            scope.cancel(reason="a line was read")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, nursery.cancel_scope)
            await anext(self._interrupts)
            nursery.cancel_scope.cancel(reason="interrupted")
        if line is None:
            print()
        return line

    async def say(self, prompt: str) -> None:
        """Say it, and show the answer."""
        if prompt.strip() == _AGAIN:
            await self._say_again()
            return
        content: Content = (*self._files, Text(prompt)) if self._files else prompt
        self._said = _Said(UserMessage(content))
        await self._start(self._said)

    async def _say_again(self) -> None:
        try:
            page = await self._client.thread_messages(self._thread)
        except UnknownThread:
            page = TurnPage((), (), None)
        except TrioAgentError as exc:
            self._renderer.note(f"what was said last, and behind what, is not known: {exc}")
            return
        said = self._said
        if said is not None and all(turn.run_id != said.run_id for turn in page.turns):
            # It has left nothing that another answer could take the place of.
            self._said = said if said.run_id is None else _Said(said.message)
            await self._start(self._said)
        elif (message := said_last(page)) is None:
            self._renderer.note("nothing was said yet that could be answered again")
        elif (last := page.turns[-1]).run_id not in self._shown:
            self._renderer.note(f"not asked again: this was said meanwhile; {_AGAIN} answers it")
            self._recall(page)
        else:
            self._said = None
            await self._start(_Said(message), after=last.follows or "")

    def _recall(self, page: TurnPage) -> None:
        """Show the last that was said."""
        for line in last_lines(page.messages):
            self._renderer.recall(line)
        self._shown.update(turn.run_id for turn in page.turns[-1:])

    async def _start(self, said: _Said, *, after: str | None = None) -> None:
        try:
            said.run_id = await self._client.start(
                messages=[said.message],
                agent=self._agent,
                thread=self._thread,
                after=after,
                idempotency_key=said.key,
            )
        except ThreadBusy as busy:
            self._renderer.note(
                f"not said: run {busy.run_id} is active in this thread, and shown here; say it"
                " again when that has ended. Ctrl-C cancels it"
            )
            await self._follow_well(busy.run_id)
        except (TrioAgentError, ValueError) as exc:
            self._renderer.note(f"no answer: {exc}")
        else:
            if said is self._said:
                self._files = ()
            await self._follow_well(said.run_id)

    async def _follow_well(self, run_id: str) -> None:
        self._shown.add(run_id)
        try:
            await self._follow(run_id)
        except (TrioAgentError, trio.BrokenResourceError) as exc:
            self._renderer.note(f"no answer: {exc}")

    async def _follow(self, run_id: str) -> None:
        """Show a run to its end. Ctrl-C cancels it, and its questions are asked."""
        listening = trio.CancelScope()

        async def cancel_on_interrupt() -> None:
            with listening:
                await anext(self._interrupts)
            if listening.cancelled_caught:
                return
            receipt = await self._client.cancel(run_id)
            if receipt is None:
                self._renderer.note("cancelling; something of the run has not ended yet")
            else:
                self._renderer.note(
                    f"{receipt.outcome} at event {receipt.last_offset}; nothing is left"
                )

        async with open_plain_nursery() as nursery:
            nursery.start_soon(cancel_on_interrupt)
            questions = Questions(self._client, run_id, self._renderer, self._stdin, nursery)
            async with self._client.subscribe(run_id) as events:
                lost = 0
                async for event in events:
                    if events.reconnects > lost:
                        lost = events.reconnects
                        questions.show("the connection was lost; resumed")
                    if event.event is not None:
                        questions.show(event.event)
            # Who has interrupted it gets the receipt, which comes behind the last event.
            listening.cancel(reason="the run ended")
