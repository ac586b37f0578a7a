import trio

from trio_agent import Agent, open_runtime, tool

rented = trio.Event()


@tool
async def rent_a_machine(minutes: int) -> str:
    """Rent a machine."""
    rented.set()
    try:
        await trio.sleep(60 * minutes)
    except trio.Cancelled as exc:
        print(f"cancelled: {exc.reason}")
        raise
    finally:
        with trio.move_on_after(2, shield=True):
            await give_back()
    return "done"


async def give_back() -> None:
    await trio.sleep(0.01)
    print("given back")


agent = Agent(model="gpt-4o-mini", tools=[rent_a_machine])


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Rent a machine for an hour.")
        await rented.wait()
        receipt = await run.cancel("too expensive")
        print(receipt.outcome)


trio.run(main)
