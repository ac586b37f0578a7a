"""The documentation as a whole: whatever it shows is run, and whatever is run is shown."""

import os
import re

import pytest
from program_kit import EXAMPLES, REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
SHOWN = {
    os.path.relpath(page.parent / name, DOCS)
    for page in PAGES
    for name in re.findall(r"^```\{literalinclude\} (\S+)", page.read_text(), re.MULTILINE)
}
FOREIGN = (
    "coming-from-pydantic-ai.md",
    "coming-from-openai-agents.md",
    "coming-from-confused-ai.md",
)
"""Pages that show other frameworks' code, which is not ours to run."""


def test_every_example_is_shown() -> None:
    examples = {
        str(path.relative_to(DOCS))
        for path in EXAMPLES.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in SHOWN if name.startswith("examples/")} == examples


def test_every_example_is_run() -> None:
    tests = "\n".join(path.read_text() for path in (REPOSITORY / "tests" / "docs").glob("*.py"))
    for name in SHOWN:
        if name.endswith(".py"):
            assert f'"{name.removeprefix("examples/").removesuffix(".py")}"' in tests, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_code_comes_from_files_that_are_run(page) -> None:
    code = re.findall(r"^```(?:python|py|\{code-block\} python)$", page.read_text(), re.MULTILINE)
    assert not code or page.name in FOREIGN
