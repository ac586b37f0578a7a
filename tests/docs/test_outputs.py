"""docs/outputs.md"""

from pathlib import Path

import pytest
from program_kit import REPOSITORY, run_example

PAGE = (REPOSITORY / "docs" / "outputs.md").read_text()


async def test_shape(tmp_path: Path) -> None:
    output = await run_example("outputs/shape", [], tmp_path)
    assert output == "Weather(city='Oslo', celsius=-3.0, sky='snow')\nOslo: 270.15 K\n"
    assert output in PAGE


async def test_union(tmp_path: Path) -> None:
    output = await run_example("outputs/union", [], tmp_path)
    assert output == "For how many?\n2 seats at 08:05\n"
    assert output in PAGE


async def test_incomplete(tmp_path: Path) -> None:
    output = await run_example("outputs/incomplete", [], tmp_path)
    assert [line.partition(":")[0] for line in output.splitlines()] == [
        "length",
        "no output",
        "output-invalid",
    ]
    assert output in PAGE


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("outputs/partials", "Trip(to='Bergen', stops=['Finse', 'Voss'])"),
        ("outputs/reader", "['tea', 'honey']"),
    ],
)
async def test_what_grows(name: str, last: str, tmp_path: Path) -> None:
    """A slow reader leaves out some of what is shown, but never the last."""
    lines = (await run_example(name, [], tmp_path)).splitlines()
    _, shown = PAGE.split(f"$ python {name.removeprefix('outputs/')}.py\n")
    all_lines = shown.partition("```")[0].splitlines()
    assert [line for line in all_lines if line in lines] == lines
    assert lines[-1] == all_lines[-1] == last


async def test_corrections(tmp_path: Path) -> None:
    output = await run_example("outputs/corrections", [], tmp_path)
    assert output.count("correction: ") == 2
    assert output in PAGE
