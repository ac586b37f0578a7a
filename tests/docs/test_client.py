"""docs/client.md"""

from pathlib import Path

from program_kit import REPOSITORY, run_example

PAGE = (REPOSITORY / "docs" / "client.md").read_text()


async def test_what_is_printed(tmp_path: Path) -> None:
    output = await run_example("client/answer", [], tmp_path)
    assert f"$ python answer.py\n{output}```" in PAGE
