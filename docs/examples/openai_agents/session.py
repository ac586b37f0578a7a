import msgspec
import trio

from trio_agent import Agent, AnyMessage

agent = Agent(name="assistant", model="gpt-4o-mini")
decoder = msgspec.json.Decoder(tuple[AnyMessage, ...])


async def say(prompt: str, file: trio.Path) -> str:
    messages = decoder.decode(await file.read_bytes()) if await file.exists() else ()
    result = await agent.run(prompt, messages=messages)
    await file.write_bytes(msgspec.json.encode(result.messages))
    return result.text


async def main() -> None:
    file = trio.Path("ada.json")
    await say("My name is Ada.", file)
    print(await say("What is my name?", file))


trio.run(main)
