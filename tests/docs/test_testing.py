"""docs/testing.md: tests, which are run as their reader would run them."""

import os
import shutil
import sys
from pathlib import Path

import trio
from program_kit import EXAMPLES
from server_kit import SOON

PROGRAMS = (
    "testing/weather",
    "testing/test_tools",
    "testing/test_agent",
    "testing/test_shapes",
    "testing/test_provider",
    "testing/test_cancelled",
    "testing/test_store",
    "testing/test_crashes",
)


async def test_tests(tmp_path: Path) -> None:
    for name in (*(f"{program}.py" for program in PROGRAMS), "testing/pyproject.toml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    with trio.fail_after(6 * SOON):
        done = await trio.run_process(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            env={
                name: value for name, value in os.environ.items() if not name.startswith("PYTEST")
            },
            cwd=tmp_path,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b""), done.stdout.decode()
    last = done.stdout.decode().splitlines()[-1]
    assert last.startswith("29 passed in")
