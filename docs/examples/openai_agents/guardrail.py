import trio

from trio_agent import Agent, OpenAIModel, open_runtime

model = OpenAIModel("gpt-4o-mini")
judge = Agent(name="judge", instructions="Is it homework? Say yes or no.", model=model)
tutor = Agent(name="tutor", model=model)


async def main() -> None:
    prompt = "Solve 2x + 3 = 11 for me."
    async with open_runtime() as runtime:
        answering = await runtime.start(tutor, prompt)
        judging = await runtime.start(judge, prompt)  # both run now
        verdict = await judging.wait()
        if verdict.text.strip().lower() == "no":
            print((await answering.wait()).text)
        else:
            receipt = await answering.cancel("it is homework")
            print("do it yourself:", receipt.outcome)


trio.run(main)
