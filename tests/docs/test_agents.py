"""docs/agents.md"""

from pathlib import Path

from program_kit import REPOSITORY, run_example

PAGE = (REPOSITORY / "docs" / "agents.md").read_text()


async def test_dependencies(tmp_path: Path) -> None:
    output = await run_example("agents/dependencies", [], tmp_path)
    assert output == "open for ann\nclose\nIt is the free plan.\nYou talk to ann.\n"
    assert output in PAGE


async def test_given(tmp_path: Path) -> None:
    assert await run_example("agents/given", [], tmp_path) == "She has 25 orders.\n"


async def test_team(tmp_path: Path) -> None:
    output = await run_example("agents/team", [], tmp_path)
    [shown] = [part for part in PAGE.split("```") if "$ python team.py" in part]
    lines = shown.partition("team.py\n")[2].splitlines()
    # The two of them speak side by side.
    assert sorted(output.splitlines()) == sorted(lines)
    assert output.splitlines()[-1] == lines[-1]


async def test_settings(tmp_path: Path) -> None:
    output = await run_example("agents/settings", [], tmp_path)
    assert output in PAGE
    assert output.startswith("timeout: It \n")
