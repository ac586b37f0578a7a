"""``trio-agent chat``: a conversation in the terminal, over a server."""

import signal
import sys
from collections.abc import AsyncIterator, Sequence

import trio

from trio_agent import AnyMessage, Content, File, Text, Transcript, TrioAgentError, UserMessage
from trio_agent.abc import open_plain_nursery
from trio_agent.client import Client

from ._questions import Questions
from ._render import Renderer
from ._stdin import Stdin


async def chat(client: Client, *, files: Sequence[File] = ()) -> int:
    """Talk until the end of input, or Ctrl-C at the prompt; returns the status of the process.

    Ctrl-C during an answer cancels its run; the conversation goes on. The files go with what is
    said first. Answers to calls that wait are lines of the input, too, wherever that comes from.
    """
    renderer = Renderer(sys.stdout)
    messages: tuple[AnyMessage, ...] = ()
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        async with open_plain_nursery() as nursery:
            stdin = Stdin(nursery)
            while (prompt := await _read_prompt(stdin, interrupts)) is not None:
                if prompt.strip():
                    content: Content = prompt
                    if files and not messages:
                        content = (*files, Text(prompt))
                    said = (*messages, UserMessage(content))
                    try:
                        messages = await _answer(client, said, renderer, stdin, interrupts)
                    except (TrioAgentError, trio.BrokenResourceError) as exc:
                        renderer.note(f"no answer: {exc}")
            nursery.cancel_scope.cancel(reason="the conversation is over")
    return 0


async def _read_prompt(stdin: Stdin, interrupts: AsyncIterator[int]) -> str | None:
    """Return the next line, None at the end of input or on Ctrl-C."""
    line: str | None = None

    async def read(scope: trio.CancelScope) -> None:
        nonlocal line
        line = await stdin.ask("> ")
        scope.cancel(reason="a line was read")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, nursery.cancel_scope)
        await anext(interrupts)
        nursery.cancel_scope.cancel(reason="interrupted")
    if line is None:
        print()
    return line


async def _answer(
    client: Client,
    messages: tuple[AnyMessage, ...],
    renderer: Renderer,
    stdin: Stdin,
    interrupts: AsyncIterator[int],
) -> tuple[AnyMessage, ...]:
    """Stream the answer and return the transcript with it."""
    transcript = Transcript(messages)
    run_id = await client.start(messages=messages)
    listening = trio.CancelScope()

    async def cancel_on_interrupt() -> None:
        with listening:
            await anext(interrupts)
        if listening.cancelled_caught:
            return
        receipt = await client.cancel(run_id)
        if receipt is None:
            renderer.note("cancelling; something of the run has not ended yet")
        else:
            renderer.note(f"{receipt.outcome} at event {receipt.last_offset}; nothing is left")

    async with open_plain_nursery() as nursery:
        nursery.start_soon(cancel_on_interrupt)
        questions = Questions(client, run_id, renderer, stdin, nursery)
        async with client.subscribe(run_id) as events:
            lost = 0
            async for event in events:
                if events.reconnects > lost:
                    lost = events.reconnects
                    questions.show("the connection was lost; resumed")
                if event.event is not None:
                    transcript.add(event.event)
                    questions.show(event.event)
        # Who has interrupted it gets the receipt, which comes behind the last event.
        listening.cancel(reason="the run ended")
    return transcript.messages
