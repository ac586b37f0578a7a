"""Which HTTP library is used: httpx2 where it is installed, or else httpx."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from trio_agent._http import library

REPOSITORY = Path(__file__).parents[2]
FOLDERS = ("tests/http", "tests/models/openai/test_model.py", "tests/client/test_http.py")
HERE = "tests/http/test_library.py"


@pytest.mark.parametrize("used", [library.httpx.__name__])
def test_it_is_the_newest_that_is_installed(used: str) -> None:
    assert used == ("httpx" if find_spec("httpx2") is None else "httpx2")
    assert library.httpcore.__name__ == used.replace("httpx", "httpcore")


def test_all_that_uses_it_passes_with_httpx() -> None:
    """Once more, in a process that finds no httpx2."""
    pytest.importorskip("httpx2", reason="httpx is what everything runs on already")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-rp", "-p", "no_httpx2", *FOLDERS),
            *("-p", "no:cacheprovider"),
            f"--deselect={HERE}::{test_all_that_uses_it_passes_with_httpx.__name__}",
        ],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "tests" / "kits")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"^PASSED (\S+)", done.stdout, re.MULTILINE)
    assert f"{HERE}::{test_it_is_the_newest_that_is_installed.__name__}[httpx]" in passed
    for folder in FOLDERS:
        assert any(name.startswith(folder) for name in passed)
