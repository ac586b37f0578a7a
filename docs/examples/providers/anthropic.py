import trio

from trio_agent import Agent, AnthropicModel


async def temperature(city: str) -> str:
    """Tell the temperature in a city."""
    return f"18 °C in {city}"


# The key comes from ANTHROPIC_API_KEY.
model = AnthropicModel(
    "claude-opus-4-6",
    options={
        "max_tokens": 8000,
        "thinking": {"type": "adaptive"},
        "cache_control": {"type": "ephemeral"},
    },
)
agent = Agent(model=model, tools=[temperature])


async def main() -> None:
    result = await agent.run("Do I need a coat in Lisbon?")
    print(result.text)
    print(result.usage.cached_input_tokens, "tokens cached")


trio.run(main)
