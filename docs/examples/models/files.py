import base64

import trio

from trio_agent import Agent, File, Text, UserMessage

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def main() -> None:
    question = UserMessage((Text("What colour is this?"), File("image/png", data=PIXEL)))
    result = await Agent(model="gpt-4o-mini").run(messages=[question])
    print(result.text)


trio.run(main)
