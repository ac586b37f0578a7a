"""docs/waiting.md"""

from pathlib import Path

import pytest
from program_kit import REPOSITORY, run_example

PAGE = (REPOSITORY / "docs" / "waiting.md").read_text()


async def test_beside(tmp_path: Path) -> None:
    output = await run_example("waiting/beside", [], tmp_path)
    assert f"It prints `{output.strip()}`" in PAGE


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("waiting/program", 6),
        ("waiting/later", 7),
        ("waiting/deadline", 3),
        ("waiting/say", 6),
        ("waiting/crash", 3),
        ("waiting/handed_over", 4),
        ("waiting/reader", 3),
    ],
)
async def test_what_is_printed(name: str, lines: int, tmp_path: Path) -> None:
    output = await run_example(name, [], tmp_path)
    assert output.count("\n") == lines
    assert f"$ python {name.removeprefix('waiting/')}.py\n{output}```" in PAGE
