import json
from functools import partial

import trio

from trio_agent import Agent, Limits, ModelError, RunFailed, open_runtime
from trio_agent.abc import Emit, Model, ModelFinish, ModelRequest, TextPart


class LineModel(Model):
    """A model behind a TCP port: takes a line of JSON, answers with lines of JSON, then END."""

    def __init__(self, port: int, *, connect_deadline: float = 10.0) -> None:
        self._port = port
        self._connect_deadline = connect_deadline

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        async with await self._connect() as stream:  # cancelled: the connection is closed
            try:
                await stream.send_all(json.dumps(request.messages[-1].content).encode() + b"\n")
                unread = b""
                async for data in stream:
                    *lines, unread = (unread + data).split(b"\n")
                    texts = [json.loads(line) for line in lines if line != b"END"]
                    if texts:
                        await emit(*map(TextPart, texts))  # what came in one read, in one call
                    if lines[-1:] == [b"END"]:
                        return ModelFinish("stop")
            except trio.BrokenResourceError as exc:
                raise ModelError("cut-stream", "the connection broke", retryable=True) from exc
            except ValueError as exc:
                raise ModelError("bad-response", f"no JSON: {exc}") from exc
        raise ModelError("cut-stream", "the answer has no end", retryable=True)

    async def check(self) -> None:
        await (await self._connect()).aclose()

    async def _connect(self) -> trio.SocketStream:
        try:
            with trio.fail_after(self._connect_deadline):
                return await trio.open_tcp_stream("127.0.0.1", self._port)
        except trio.TooSlowError as exc:
            raise ModelError("timeout-connect", "no connection in time", retryable=True) from exc
        except OSError as exc:
            raise ModelError("connect", "there is no server", retryable=True) from exc


async def answer(stream: trio.SocketStream) -> None:
    """Be that server."""
    if await stream.receive_some():
        await stream.send_all(b'"Four"\n" is the "\n"answer."\nEND\n')


async def main() -> None:
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        model = LineModel(listener.socket.getsockname()[1])
        agent = Agent(model=model, limits=Limits(model_retries=0))
        async with open_runtime() as runtime:
            await runtime.check_model(agent)
        print((await agent.run("What is two and two?")).text)
        nursery.cancel_scope.cancel()  # no more server
    try:
        await agent.run("Are you there?")
    except RunFailed as exc:
        print(exc)


trio.run(main)
