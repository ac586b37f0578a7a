import trio

from trio_agent import Agent, ModelError, StepDiscard, StepStart, TextDelta, open_runtime
from trio_agent.testing import ScriptedModel

model = ScriptedModel(
    ["Trio is a ", ModelError("cut-stream", "it broke off", retryable=True)],
    ["Trio is a library."],
)
agent = Agent(model=model)


async def main() -> None:
    text, kept = "", ""
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "What is Trio?")
        async with run.subscribe() as events:
            async for event in events:
                match event:
                    case StepStart():
                        kept = text
                    case TextDelta(delta=delta):
                        text += delta
                        print("shown:", text)
                    case StepDiscard(reason=reason):
                        text = kept
                        print("taken back:", reason)
        assert text == (await run.wait()).text


trio.run(main)
