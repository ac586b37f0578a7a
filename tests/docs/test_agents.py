"""docs/agents.md"""

from pathlib import Path

import pytest
from program_kit import REPOSITORY, run_example

PAGE = (REPOSITORY / "docs" / "agents.md").read_text()


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("agents/deps", 4),
        ("agents/lawyer", 6),
        ("agents/children", 3),
        ("agents/per_run", 3),
    ],
)
async def test_what_is_printed(name: str, lines: int, tmp_path: Path) -> None:
    output = await run_example(name, [], tmp_path)
    assert output.count("\n") == lines
    assert f"$ python {name.removeprefix('agents/')}.py\n{output}```" in PAGE


async def test_given(tmp_path: Path) -> None:
    output = await run_example("agents/given", [], tmp_path)
    assert f"It prints `{output.strip()}`" in PAGE
