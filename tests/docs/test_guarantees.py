"""docs/guarantees.md"""

import re
from pathlib import Path

from program_kit import REPOSITORY, run_example

PAGE = (REPOSITORY / "docs" / "guarantees.md").read_text()


async def test_killed(tmp_path: Path) -> None:
    output = await run_example("guarantees/killed", [], tmp_path)
    assert output == (
        "the worker ended with SIGKILL\n"
        "text I pay.\n"
        "call pay {'amount': 7}\n"
        "continued worker-lost\n"
        "result unknown - the worker was lost during this call: its outcome is unknown\n"
        "text  Please look whether it is paid.\n"
        "finish stop\n"
    )
    assert output in PAGE


async def test_store_away(tmp_path: Path) -> None:
    output = await run_example("guarantees/store_away", [], tmp_path)
    assert output == (
        "RunStart\n"
        "StepStart\n"
        "TextDelta\n"
        "cancel: the store did not take the terminal event in time\n"
        "viewer: the log can't be continued\n"
        "RunFinish\n"
    )
    assert output in PAGE


def test_every_test_that_is_named_is_there() -> None:
    """The page proves what it says by tests; each is a place, or a place and a function."""
    named = re.findall(r"`(tests/[\w/]+(?:\.py)?)(?:::(\w+(?:::\w+)?))?`", PAGE)
    assert len(named) > 40
    for place, name in named:
        path = REPOSITORY / place
        files = path.rglob("*.py") if path.is_dir() else [path]
        text = "\n".join(file.read_text() for file in files)
        for part in name.split("::") if name else ():
            assert re.search(rf"^\s*(?:async def|def|class) {part}\b", text, re.MULTILINE), name
