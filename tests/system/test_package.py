"""The package travels: what an import loads, what an empty environment gets, other systems."""

import json
import re
import subprocess
import sys
import venv
from collections.abc import Sequence
from email.parser import HeaderParser
from pathlib import Path

import pytest
from process_kit import environment as environment_of_process
from thorough_kit import THOROUGH

import trio_agent

REPOSITORY = Path(__file__).parents[2]

MODULES = ("trio_agent.client", "trio_agent.local", "trio_agent.servers.cli", "trio_agent.testing")
WITHOUT_FCNTL = "import sys; sys.modules['fcntl'] = None\n"
MAX_PACKAGES = 22
"""That a plain install brings, itself included."""
MAX_BYTES = 20 << 20


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command to its end; return what it wrote to stdout."""
    env = environment_of_process(measured=False)
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python(program: str) -> str:
    """Run a program in an interpreter of its own, in which warnings are errors."""
    return run(sys.executable, "-W", "error", "-c", program)


def loaded_by(module: str) -> set[str]:
    program = f"import json, sys, {module}; print(json.dumps(list(sys.modules)))"
    return {name.partition(".")[0] for name in json.loads(python(program))}


@pytest.mark.parametrize(
    ("module", "others"),
    [
        (
            "trio_agent",
            {"glide", "hypercorn", "starlette", "trio_websocket", "xllamacpp", "sphinx"},
        ),
        ("trio_agent.client", {"glide", "hypercorn", "starlette", "xllamacpp"}),
        ("trio_agent.servers", {"argcomplete", "glide", "xllamacpp"}),
    ],
)
def test_an_import_loads_what_it_needs(module: str, others: set[str]) -> None:
    loaded = loaded_by(module)
    assert "trio" in loaded
    assert not loaded & others


@pytest.mark.parametrize("module", ["trio_agent", *MODULES])
def test_a_system_without_posix_locks_imports_all(module: str) -> None:
    assert python(f"{WITHOUT_FCNTL}import {module}; print({module}.__name__)").strip() == module


def test_a_system_without_posix_locks_says_so_when_they_are_needed(tmp_path: Path) -> None:
    program = f"""{WITHOUT_FCNTL}
import trio
from trio_agent import SQLiteStore, StoreUnavailable

async def main():
    try:
        async with SQLiteStore({str(tmp_path / "runs.db")!r}).open():
            pass
    except StoreUnavailable as exc:
        print(exc)

trio.run(main)
"""
    assert "can't be locked: this system has no POSIX file locks" in python(program)


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("glide", ["serve", "--store", "valkey://127.0.0.1:1", "--model", "m"], "valkey"),
        ("xllamacpp", ["serve"], "local"),
    ],
)
def test_a_missing_extra_is_one_line_that_names_it(
    missing: str, arguments: Sequence[str], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    program = f"""
import importlib.util, sys
sys.modules[{missing!r}] = None
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == {missing!r} else find_spec(name)
from trio_agent.servers.cli import main
main({arguments!r})
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].count(f"trio-agent[{extra}]") == 1


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    # With the setuptools that is here: what is tested is the package, not the network.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(REPOSITORY))
    return folder


def test_distributions_are_what_an_index_takes(distributions: Path) -> None:
    files = sorted(path.name for path in distributions.iterdir())
    version = trio_agent.__version__
    assert files == [f"trio_agent-{version}-py3-none-any.whl", f"trio_agent-{version}.tar.gz"]
    command = ["-m", "twine", "check", "--strict", *(str(distributions / file) for file in files)]
    assert run(sys.executable, *command).count("PASSED") == 2


# The wheel was built from the other one, which holds all that is needed if this one is whole.
@pytest.fixture(scope="module", params=["whl", *["tar.gz"] * THOROUGH])
def environment(
    request: pytest.FixtureRequest, distributions: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An environment in which nothing but the package was installed; its `bin`."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    [file] = distributions.glob(f"*.{request.param}")
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    done = subprocess.run(
        [*command, "--quiet", "--no-compile", "--disable-pip-version-check", str(file)],
        env=environment_of_process(measured=False),
        capture_output=True,
        text=True,
        check=False,
    )
    if re.search(
        "No matching distribution|Could not find a version|NewConnectionError", done.stderr
    ):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return folder / "bin"


class TestEmptyEnvironment:
    def test_commands(self, environment: Path, tmp_path: Path) -> None:
        version = f"trio-agent {trio_agent.__version__}\n"
        assert run(str(environment / "trio-agent"), "--version", cwd=tmp_path) == version
        for module in ("trio_agent", "trio_agent.servers"):
            command = (str(environment / "python"), "-m", module, "--version")
            assert run(*command, cwd=tmp_path) == version

    def test_everything_is_there(self, environment: Path, tmp_path: Path) -> None:
        """All modules and data of the tree, and nothing of its top level beside the package."""
        program = f"""
import importlib, importlib.metadata, importlib.resources, json, pkgutil
import {", ".join(MODULES)}
import trio_agent
names = [m.name for m in pkgutil.walk_packages(trio_agent.__path__, "trio_agent.")]
files = importlib.metadata.files("trio-agent")
print(json.dumps([names, sorted(str(f) for f in files)]))
"""
        names, files = json.loads(run(str(environment / "python"), "-c", program, cwd=tmp_path))
        tree = {
            ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
            for folder in ("trio_agent", "servers")
            for path in (REPOSITORY / folder).rglob("*.py")
            if path.name != "__init__.py"
        }
        tree = {f"trio_agent.{n}" if n.startswith("servers.") else n for n in tree}
        assert tree - {"trio_agent.local._server"} <= set(names)
        for file in ("py.typed", "local/chat.jinja", "servers/http/page/app.js"):
            assert f"trio_agent/{file}" in files
        tops = {file.partition("/")[0] for file in files}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"..", "trio_agent"}

    def test_it_is_small(self, environment: Path) -> None:
        [site] = (environment.parent / "lib").glob("python*/site-packages")
        packages = list(site.glob("*.dist-info"))
        assert len(packages) <= MAX_PACKAGES, sorted(path.name for path in packages)
        sizes = [
            path.stat().st_size
            for path in site.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        ]
        assert sum(sizes) < MAX_BYTES

    def test_metadata(self, environment: Path) -> None:
        [site] = (environment.parent / "lib").glob("python*/site-packages")
        [info] = site.glob("trio_agent-*.dist-info")
        metadata = HeaderParser().parsestr((info / "METADATA").read_text())
        assert metadata["Version"] == trio_agent.__version__
        assert metadata["Requires-Python"] == ">=3.11"
        assert metadata["License-Expression"] == "MIT"
        assert set(metadata.get_all("Provides-Extra") or ()) == {
            *("completion", "local", "mcp", "valkey"),
        }
