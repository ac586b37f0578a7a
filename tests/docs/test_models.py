"""docs/models.md"""

import re
from pathlib import Path

import attrs
from program_kit import EXAMPLES, REPOSITORY, environment, run_against, run_example
from proxy_kit import canned

from trio_agent import OpenAIModel
from trio_agent.testing.openai import finish, open_scripted_openai, status, text

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


async def test_files(tmp_path: Path) -> None:
    async with open_scripted_openai([[text("Green."), finish()]]) as server:
        program = (EXAMPLES / "models/files").with_suffix(".py")
        output = await run_against(environment(server), program, tmp_path)
    assert output == "Green.\n"
    [request] = server.requests
    [question, picture] = request.body["messages"][0]["content"]
    assert question == {"type": "text", "text": "What colour is this?"}
    assert picture["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


async def test_metered(tmp_path: Path) -> None:
    output = await run_example("models/metered", [], tmp_path)
    assert output == "1 call, first part after 0 s\n"


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
