"""docs/mcp.md"""

from pathlib import Path

import pytest

pytest.importorskip("mcp", reason="pip install 'trio-agent[mcp]'")

from program_kit import REPOSITORY, run_example

PAGE = (REPOSITORY / "docs" / "mcp.md").read_text()

# The server of the page, which the program starts: "mcp/weather_server".


async def test_try_server(tmp_path: Path) -> None:
    output = await run_example("mcp/try_server", [], tmp_path)
    assert output.count("\n") == 8
    assert output in PAGE


async def test_agent(tmp_path: Path) -> None:
    lines = (await run_example("mcp/agent", [], tmp_path)).splitlines()
    # Of progress some may be left out.
    shown = PAGE.split("$ python agent.py\n")[1].partition("```")[0].splitlines()
    assert [line for line in shown if line in lines] == lines
    assert [line for line in lines if " ok: " in line] == [
        "forecast ok: {'result': 'Oslo: snow for 2 days'}",
        "measure ok: {'result': -3.5}",
    ]
