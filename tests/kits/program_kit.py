"""Programs of the documentation, run as they stand there, against a scripted provider.

Their coverage is not measured: they show that the documentation is right, and what they use has
tests of its own.
"""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE

import trio
from process_kit import unmeasured
from server_kit import SOON

from trio_agent.testing.openai import Script, ScriptedServer, open_scripted_openai

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "docs" / "examples"


def environment(server: ScriptedServer) -> dict[str, str]:
    """Where the program finds its model."""
    return {**os.environ, "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test"}


async def run_program(file: Path, script: Script, folder: Path, *arguments: str) -> str:
    """Run a program to its end, in a folder of its own; return what it wrote.

    It has to end with status 0, without a warning, and write nothing to stderr.
    """
    with trio.fail_after(3 * SOON):
        async with open_scripted_openai(script) as server:
            return await run_against(environment(server), file, folder, *arguments)


async def run_against(env: Mapping[str, str], file: Path, folder: Path, *arguments: str) -> str:
    """Run a program as `run_program` does, with whatever its environment names."""
    done = await trio.run_process(
        [sys.executable, "-W", "error", str(file), *arguments],
        env=unmeasured(env),
        cwd=folder,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return str(done.stdout.decode())


async def run_example(name: str, script: Script, folder: Path, *arguments: str) -> str:
    """Run `docs/examples/{name}.py`."""
    return await run_program(EXAMPLES / f"{name}.py", script, folder, *arguments)


@asynccontextmanager
async def serving(file: Path, script: Script, folder: Path, *arguments: str) -> AsyncIterator[str]:
    """Run a program that serves, while the context lasts; yield its first line."""
    with trio.fail_after(3 * SOON):
        async with (
            open_scripted_openai(script) as server,
            serving_against(environment(server), file, folder, *arguments) as line,
        ):
            yield line


@asynccontextmanager
async def serving_against(
    env: Mapping[str, str], file: Path, folder: Path, *arguments: str
) -> AsyncIterator[str]:
    """Run a program as `serving` does, with whatever its environment names."""
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            [sys.executable, str(file), *arguments],
            stdout=PIPE,
            env=unmeasured(env),
            cwd=folder,
            check=False,
        )
        process: trio.Process = await nursery.start(start)
        assert process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            data = await process.stdout.receive_some()
            assert data, "it ended"
            line += data
        yield line.decode()
        nursery.cancel_scope.cancel()
