import trio

from trio_agent import Agent, OpenAIModel

model = OpenAIModel("gpt-4o-mini")
refunds = Agent(name="refunds", instructions="You handle refunds.", model=model)
triage = Agent(
    name="triage",
    instructions="Leave refunds to the agent for refunds.",
    model=model,
    tools=[refunds.as_tool(description="Ask for money to be paid back.")],
)


async def main() -> None:
    result = await triage.run("I want my money back.")
    print(result.text)


trio.run(main)
