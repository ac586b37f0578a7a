import trio

from trio_agent import Agent, ModelError, Usage
from trio_agent.abc import Emit, Model, ModelFinish, ModelRequest, TextPart


class Parrot(Model):
    """Says what was said last, word by word."""

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        content = request.messages[-1].content
        if not isinstance(content, str):
            raise ModelError("bad-request", "a parrot knows no files")
        words = content.split()
        for word in words:
            await trio.lowlevel.checkpoint()
            await emit(TextPart(f"{word} "))
        return ModelFinish("stop", Usage(len(words), len(words), 2 * len(words)))


async def main() -> None:
    result = await Agent(model=Parrot()).run("Polly wants a cracker.")
    print(result.text, result.usage.total_tokens)


trio.run(main)
