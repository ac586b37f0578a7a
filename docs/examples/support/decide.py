import trio
from support_desk import agent


async def main() -> None:
    async with agent.stream_output("My kettle broke in June. The order is A7.") as answer:
        async for partial in answer:
            print("...", partial)
        result = await answer.result()
    verdict = result.output
    print(f"{verdict.refund} euros for {verdict.order}: {verdict.reason}")
    print(f"{result.steps} steps, {result.usage.total_tokens} tokens")


trio.run(main)
