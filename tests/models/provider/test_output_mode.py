"""Which way of asking for a shape suits which endpoint."""

import pytest

from trio_agent.models._provider._output_mode import can_force, output_mode, shows_schema


@pytest.mark.parametrize(
    ("host", "model", "alone", "beside_tools"),
    [
        ("api.openai.com", "gpt-5.4", "schema", "schema"),
        ("api.openai.com", "gpt-4o", "schema", "schema"),
        ("api.openai.com", "gpt-4.1-mini", "schema", "schema"),
        ("api.openai.com", "ft:gpt-4o-mini:me", "schema", "schema"),
        ("api.openai.com", "gpt-4-turbo", "tool", "tool"),
        ("api.openai.com", "gpt-4", "tool", "tool"),
        ("api.openai.com", "gpt-3.5-turbo", "tool", "tool"),
        ("api.openai.com", "gpt-4o-2024-05-13", "tool", "tool"),
        ("api.deepseek.com", "deepseek-v4-pro", "tool", "tool"),
        ("api.groq.com", "m", "tool", "tool"),
        ("openrouter.ai", "m", "tool", "tool"),
        ("dashscope.aliyuncs.com", "qwen3.5-plus", "tool", "tool"),
        ("api.mistral.ai", "m", "schema", "tool"),
        ("generativelanguage.googleapis.com", "m", "schema", "tool"),
        ("me.openai.azure.com", "gpt-4", "schema", "tool"),
        ("127.0.0.1:8080", "m", "schema", "tool"),
        ("notaliyuncs.com", "m", "schema", "tool"),
        ("", "m", "schema", "tool"),
    ],
)
def test_the_mode(host: str, model: str, alone: str, beside_tools: str) -> None:
    origin = f"openai@{host}" if host else ""
    assert output_mode(origin, model, has_tools=False) == alone
    assert output_mode(origin, model, has_tools=True) == beside_tools


@pytest.mark.parametrize(
    ("host", "thinking", "can"),
    [
        ("api.openai.com", None, True),
        ("127.0.0.1:8080", None, True),
        ("api.deepseek.com", None, False),
        ("api.deepseek.com:443", {"type": "enabled"}, False),
        ("api.deepseek.com", {"type": "disabled"}, True),
        ("dashscope-intl.aliyuncs.com", None, False),
        ("api.moonshot.ai", None, False),
    ],
)
def test_where_a_tool_can_be_forced(host: str, thinking: object, can: bool) -> None:
    assert can_force(f"openai@{host}", {"thinking": thinking}) is can


def test_who_shows_a_model_the_schema() -> None:
    assert shows_schema("openai-responses@api.openai.com")
    assert not shows_schema("openai@localhost:8000")
