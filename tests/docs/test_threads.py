"""docs/threads.md"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import trio
from cli_kit import open_serve
from program_kit import EXAMPLES, REPOSITORY, run_example

from trio_agent.testing.openai import finish, text, usage

PAGE = (REPOSITORY / "docs" / "threads.md").read_text()
SHOWN = dict(re.findall(r"<!-- test: ([a-z-]+) -->\n```[a-z]+\n(.*?)```\n", PAGE, re.DOTALL))


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("threads/conversation", 7),
        ("threads/again", 4),
        ("threads/busy", 7),
        ("threads/kept", 6),
    ],
)
async def test_what_is_printed(name: str, lines: int, tmp_path: Path) -> None:
    output = await run_example(name, [], tmp_path)
    assert output.count("\n") == lines
    assert f"$ python {name.removeprefix('threads/')}.py\n{output}```" in PAGE


async def run_script(name: str, url: str) -> str:
    """Run `docs/examples/threads/{name}.sh` and return what it wrote."""
    done = await trio.run_process(
        ["sh", "-eu", str(EXAMPLES / "threads" / f"{name}.sh")],
        env={"URL": url},
        capture_stdout=True,
    )
    return done.stdout.decode()


def same(output: str) -> Any:
    """Take out of an output what differs from run to run."""
    output = re.sub(r'"(at|updatedAt|size)":\d+', r'"\1":0', output)
    return json.loads(re.sub(r'"[0-9a-f]{32}"', '"RUN"', output))


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
async def test_curl(tmp_path: Path) -> None:
    script = [[text("It rains."), finish(), usage(20, 6)]]
    async with open_serve(script, cwd=tmp_path) as (process, _):
        url = await process.url()
        assert same(await run_script("say", url)) == same(SHOWN["say"])
        assert same(await run_script("read", url)) == same(SHOWN["read"])
        deleted = await run_script("delete", url)
        assert f"It prints `{deleted.strip()}`" in PAGE
        assert "unknown-thread" in await run_script("read", url)
