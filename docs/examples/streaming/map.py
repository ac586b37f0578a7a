import trio

from trio_agent import Agent, open_runtime

agent = Agent(model="gpt-4o-mini", instructions="Translate to French, one word.")
WORDS = ["bread", "butter", "cheese"]


async def main() -> None:
    french = {}
    async with (
        open_runtime() as runtime,
        runtime.map(agent, WORDS, concurrency=2, deadline=60) as results,
    ):
        async for mapped in results:
            if mapped.result is None:
                print(f"{mapped.input} failed: {mapped.error}")
            else:
                french[mapped.index] = mapped.result.text
    for index in sorted(french):
        print(WORDS[index], french[index])


trio.run(main)
