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
