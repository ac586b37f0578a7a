import trio

from trio_agent import Agent

agent = Agent(model="gpt-4o-mini")


async def main() -> None:
    first = await agent.run("Name a town in Norway.")
    print(first.text)
    second = await agent.run("And one in the north?", messages=first.messages)
    print(second.text)
    print(f"{len(second.messages)} messages, {second.usage.total_tokens} tokens")


trio.run(main)
