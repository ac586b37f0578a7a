import trio

from trio_agent import Agent, Run, TextDelta, open_runtime

agent = Agent(model="gpt-4o-mini")


async def watch(run: Run, name: str, pause: float, shown: dict[str, str]) -> None:
    async with run.subscribe() as events:
        while True:
            try:
                batch = await events.receive_batch()
            except trio.EndOfChannel:
                break
            shown[name] += "".join(event.delta for event in batch if isinstance(event, TextDelta))
            await trio.sleep(pause)  # a slow viewer holds up nobody


async def main() -> None:
    shown = {"quick": "", "slow": "", "late": ""}
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Count to five.")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, run, "quick", 0, shown)
            nursery.start_soon(watch, run, "slow", 0.1, shown)
            await run.wait()
            nursery.start_soon(watch, run, "late", 0, shown)
    for name, text in shown.items():
        print(f"{name}: {text}")


trio.run(main)
