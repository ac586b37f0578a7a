"""The agents of `trio-agent demo`, and their tools."""

import importlib

import pytest
import trio

from trio_agent import Agent, OpenAIModel, ToolError
from trio_agent.servers.cli import _demo, _demo_kill


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> object:
    """The module as a server imports it, which makes the agent at once."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("TRIO_AGENT_MODEL", "m")
    monkeypatch.setenv("TRIO_AGENT_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.delenv("TRIO_AGENT_GGUF", raising=False)
    return importlib.reload(importlib.import_module(_demo.AGENT.partition(":")[0]))


def test_its_model_is_what_the_environment_names(module: object) -> None:
    agent = getattr(module, _demo.AGENT.partition(":")[2])
    assert isinstance(agent, Agent)
    assert isinstance(agent.model, OpenAIModel)
    assert (agent.model.name, agent.model.base_url) == ("m", "http://127.0.0.1:1/v1")
    assert list(agent.tools_by_name) == ["get_weather", "convert_temperature"]


async def test_weather_is_made_up_and_says_so(module: object) -> None:
    get_weather = module.get_weather  # type: ignore[attr-defined]
    assert await get_weather("oslo") == "Oslo: -3 degrees Celsius, snow (made-up data)"
    with pytest.raises(ToolError, match="no weather for 'Rome'; there is one for: Oslo"):
        await get_weather("Rome")
    await trio.lowlevel.checkpoint()


def test_temperatures(module: object) -> None:
    convert = module.convert_temperature  # type: ignore[attr-defined]
    assert [convert(0), convert(-40), convert(36.6)] == [32, -40, 97.9]


def test_who_books_has_to_be_allowed_to(module: object) -> None:
    agent = getattr(module, _demo_kill.AGENT.partition(":")[2])
    assert isinstance(agent, Agent)
    assert agent.waiting_tools == ("book_room",)
    book_room = module.book_room  # type: ignore[attr-defined]
    assert "made-up booking" in book_room("oslo", 2)
