"""docs/models.md"""

import re
from pathlib import Path

import attrs
from program_kit import REPOSITORY, run_example
from proxy_kit import canned

from trio_agent import OpenAIModel
from trio_agent.testing.openai import finish, open_scripted_openai, status, text, tool_call

PAGE = (REPOSITORY / "docs" / "models.md").read_text()


async def test_azure(tmp_path: Path) -> None:
    said = b"".join([text("A bound."), finish(), b"data: [DONE]\n\n"])
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%b" % said  # type: ignore[str-bytes-safe]
    async with canned(answer) as (url, requests):
        url += "/openai/deployments/mini?api-version=2024-10-21"
        output = await run_example("models/azure", [], tmp_path, url)
    assert output == "A bound.\n"
    [request] = requests
    path = b"/openai/deployments/mini/chat/completions?api-version=2024-10-21"
    assert request.startswith(b"POST %b HTTP/1.1\r\n" % path)
    assert b"Bearer a-token-for-an-hour\r\n" in request
    assert b"x-title: Weather\r\n" in request


async def test_gemini(tmp_path: Path) -> None:
    script = [
        [tool_call("c1", "find_trains", '{"day": "2026-05-02"}'), finish("stop")],
        [text("On Saturday at 9:04."), finish()],
    ]
    async with open_scripted_openai(script) as server:
        output = await run_example("models/gemini", [], tmp_path, server.base_url)
    assert output == "On Saturday at 9:04.\n"
    first, second = (request.body for request in server.requests)
    assert first["tool_choice"] == {"type": "function", "function": {"name": "find_trains"}}
    assert "tool_choice" not in second
    [tool] = first["tools"]
    day = tool["function"]["parameters"]["properties"]["day"]
    assert day == {"type": "string", "description": "Format: date."}
    assert second["messages"][-1]["content"] == '["Saturday, 9:04"]'


async def test_fallback(tmp_path: Path) -> None:
    busy = [status(429, {"retry-after": "60"})]
    async with open_scripted_openai([busy, [text("Here I am."), finish()]]) as server:
        output = await run_example("models/fallback", [], tmp_path, server.base_url)
    assert output == "Here I am.\n"
    assert [request.body["model"] for request in server.requests] == ["gpt-4o-mini", "llama3:8b"]


def test_the_tables_have_all_arguments_and_their_defaults() -> None:
    fields = {field.name: field for field in attrs.fields(OpenAIModel)}
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]*) \|", PAGE, re.MULTILINE)
    shown = {name: default for names, default in rows for name in re.findall(r"\w+", names)}
    assert set(shown) == set(fields) - {"name"}
    for name, default in shown.items():
        if found := re.fullmatch(r"(\d+) s|`(.*)`", default):
            seconds, value = found.groups()
            default_of = fields[name].default
            assert (
                default_of == float(seconds)
                if seconds
                else repr(default_of) == value.replace('"', "'")
            ), name
