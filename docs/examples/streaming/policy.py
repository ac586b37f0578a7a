import trio

from trio_agent import Agent, open_runtime

agent = Agent(model="gpt-4o-mini")


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Tell me a long story.", on_disconnect="cancel")
        async with run.subscribe() as events:
            print(type(await events.receive()).__name__)
        result = await run.wait()  # waiting is not watching
        print(f"{result.finish_reason}: {result.reason}")


trio.run(main)
