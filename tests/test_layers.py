"""Imports go down only. The layers are those of the design; a module belongs to one of them."""

import ast
import statistics
from pathlib import Path

import pytest

import trio_agent

PACKAGE = Path(trio_agent.__file__).parent
REPOSITORY = PACKAGE.parent

LAYERS: dict[str, set[str]] = {
    "values": {"_errors", "_events", "_messages", "_parts"},
    "pure": {
        "_client_events",
        "_codec",
        "_cursor",
        "_log",
        "_machine",
        "_openai",
        "_openai_errors",
        "_schema",
        "_sse",
        "_tool",
        "_transcript",
        "_vercel",
        "wire",
    },
    "trio": {
        "_before_waiting",
        "_closing",
        "_feed",
        "_follower",
        "_http",
        "_http_backend",
        "_limits",
        "_memory",
        "_model",
        "_model_pool",
        "_nursery",
        "_openai_model",
        "_presence",
        "_reaper",
        "_replay",
        "_resumable",
        "_retry",
        "_store",
        "_subscription",
        "_tool_call",
        "_watch",
        "_writer",
        "abc",
    },
    "run": {"_config", "_live_run", "_performer", "_record", "_run", "_stored_run"},
    "agent": {"__init__", "_agent", "_map", "_open_runtime", "_runtime"},
    "client": {"_client", "_client_http", "_client_ws", "_remote", "client"},
}
ORDER = list(LAYERS)
NOT_PURE = {"trio", "httpx", "httpx2", "time", "random", "secrets", "socket", "threading"}


def layer_of(module: str) -> str:
    if module.startswith(("_sqlite", "_valkey")):
        return "trio"  # a store is as many modules as it needs
    layers = [layer for layer, modules in LAYERS.items() if module in modules]
    assert len(layers) == 1, f"give {module} its place in LAYERS"
    return layers[0]


def imports(path: Path) -> set[str]:
    """The modules that a module imports: ours by their own name, others by their first name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            if node.level:
                names = [name] if name else [alias.name for alias in node.names]
                found |= {f".{each.split('.')[0]}" for each in names}
            else:
                found.add(name.split(".")[0])
    return found


MODULES = sorted(PACKAGE.glob("*.py"))
ALL_MODULES = sorted([*PACKAGE.rglob("*.py"), *(REPOSITORY / "servers").glob("*.py")])


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", MODULES, ids=stem)
def test_imports_go_down(path: Path) -> None:
    layer = layer_of(path.stem)
    for module in imports(path):
        if module.startswith("."):
            below = layer_of(module[1:])
            assert ORDER.index(below) <= ORDER.index(layer), f"{path.stem} imports {module[1:]}"


@pytest.mark.parametrize("path", MODULES, ids=stem)
def test_values_and_pure_logic_do_no_io(path: Path) -> None:
    if layer_of(path.stem) in ("values", "pure"):
        assert not imports(path) & NOT_PURE


def test_the_client_needs_no_agent() -> None:
    for module in LAYERS["client"]:
        path = PACKAGE / f"{module}.py"
        if path.exists():
            assert not {f".{name}" for name in LAYERS["agent"]} & imports(path)


def test_one_module_imports_httpx() -> None:
    importers = {path.stem for path in ALL_MODULES if imports(path) & {"httpx", "httpx2"}}
    assert importers <= {"_http", "_http_backend"}


def test_nobody_imports_servers_or_the_testing_kit() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert "servers" not in {name.strip(".") for name in imports(path)}, path
        if path.parent.name != "testing":
            assert "from .testing" not in text, path


def test_modules_are_small() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in ALL_MODULES}
    assert {path.name: length for path, length in lengths.items() if length > 400} == {}
    assert statistics.median(lengths.values()) < 150


def test_every_layer_can_fail() -> None:
    """The checks above see what they are to see."""
    tree = PACKAGE / "_machine.py"
    assert {"._events", "._parts", "enum", "attrs"} <= imports(tree)
    with pytest.raises(AssertionError, match="its place in LAYERS"):
        layer_of("_unheard_of")
