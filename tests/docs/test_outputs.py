"""docs/outputs.md"""

from pathlib import Path

from program_kit import REPOSITORY, run_example

PAGE = (REPOSITORY / "docs" / "outputs.md").read_text()


async def test_shape(tmp_path: Path) -> None:
    output = await run_example("outputs/shape", [], tmp_path)
    assert output == "2 seats on 02 May\nWhen?\n"
    assert output in PAGE


async def test_partial(tmp_path: Path) -> None:
    output = await run_example("outputs/partial", [], tmp_path)
    *partials, last, whole = output.splitlines()
    assert (last, whole) == (
        "['tea', 'a kettle', 'two cups']",
        "whole: ['tea', 'a kettle', 'two cups']",
    )
    # A busy machine may see fewer.
    assert set(partials) <= set(PAGE.splitlines())


async def test_corrections(tmp_path: Path) -> None:
    output = await run_example("outputs/corrections", [], tmp_path)
    assert output.count("again: ") == 2
    assert output in PAGE
