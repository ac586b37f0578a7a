import trio

from trio_agent import Agent, OpenAIModel, tool

model = OpenAIModel("gpt-4o-mini")
refunds = Agent(name="refunds", instructions="You handle refunds.", model=model)


@tool
async def ask_refunds(request: str) -> str:
    """Ask the agent for refunds, which can pay money back."""
    return (await refunds.run(request)).text


triage = Agent(
    name="triage",
    instructions="Leave refunds to the agent for refunds.",
    model=model,
    tools=[ask_refunds],
)


async def main() -> None:
    result = await triage.run("I want my money back.")
    print(result.text)


trio.run(main)
