import trio

from trio_agent import Agent

agent = Agent(model="gpt-4o-mini")


async def main() -> None:
    first = await agent.run("My name is Ada.")
    second = await agent.run("What is my name?", messages=first.messages)
    print(second.text)


trio.run(main)
