"""Imports go down only, over the tree as it is.

A room is a folder or a module directly below `trio_agent/`. Rooms stand on floors, in the order of
`FLOORS`: a room may import from its own floor's left and from the floors below it. What is not
named there has no place, and fails.
"""

import ast
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

FLOORS = (
    # values
    ("_errors", "_content", "_events", "_messages", "_limits", "_nursery", "_file_lock"),
    # one log; bytes on a wire
    ("_log", "_http", "wire"),
    # what is implemented more than once, each by a contract that stands below
    ("stores", "models", "tools"),
    ("_instrument", "abc", "testing", "local"),
    # an agent, its runs, where they live
    ("_output", "_config", "_run", "_cluster", "_runtime", "_agent"),
    ("_resumable", "client"),
    ("__init__",),
    ("servers",),
    ("__main__",),
)
PLACES = {
    room: (number, place) for number, floor in enumerate(FLOORS) for place, room in enumerate(floor)
}

PURE = {
    "_errors", "_content", "_events", "_messages", "_limits", "_config", "_log/codec",
    "_log/cursor", "_log/inbox", "_log/log", "_log/run_info", "_log/plain", "_log/thread",
    "_log/surplus", "_log/fitting", "_run/branch", "_run/machine",
    "_run/transcript", "_run/open_call", "_run/result", "_run/states", "_run/story", "_run/ends",
    "_run/items", "_run/budget", "_run/failures", "_run/speech", "_run/nested", "_output/shape",
    "_output/unwrapper", "_output/repair", "_output/partial", "tools/_convert", "_run/files",
    "_run/trim", "_run/prepare", "_instrument/contract", "_instrument/facts", "models/_parts",
    "models/_names", "models/openai/_chat", "models/_provider/_errors", "models/openai/_request",
    "models/openai/_dialects", "models/_provider/_endpoint", "tools/_files", "tools/_schema",
    "tools/_tool", "tools/_output", "tools/_pydantic", "tools/_signature", "wire/__init__",
    "wire/_sse", "models/_provider/_arguments", "models/openai/_calls", "models/openai/_chunk",
    "models/_provider/_codec", "models/_provider/_file_data", "models/_provider/_json",
    "models/_provider/_tool_text", "models/_provider/_complaint", "models/_provider/_finish_reason",
    "models/openai/_lenient", "models/_provider/_nesting", "models/_provider/_odd_event",
    "models/_provider/_retry_after", "models/_provider/_surrogates", "models/openai/_think_tags",
    "models/_provider/_loose", "models/_provider/_unique_ids", "models/openai_responses/_content",
    "models/_provider/_final_tool", "models/_provider/_output_mode", "models/_provider/_shape",
    "models/_provider/_strict_schema", "models/openai_responses/_decoder",
    "models/openai_responses/_ending", "models/openai_responses/_event",
    "models/openai_responses/_item", "models/openai_responses/_items",
    "models/openai_responses/_output", "models/openai_responses/_request",
    "models/openai_responses/_state", "models/openai_responses/_usage", "models/_provider/_stream",
    "models/anthropic/_blocks", "models/anthropic/_event", "models/anthropic/_files",
    "models/anthropic/_kept", "models/anthropic/_lenient", "models/anthropic/_messages",
    "models/anthropic/_request", "models/anthropic/_output_mode", "models/anthropic/_thinking",
    "servers/_shared/content", "servers/_shared/intake", "servers/_shared/media_types",
    "servers/_shared/messages", "servers/http/_views", "servers/websocket/_frames",
    "servers/websocket/_requests", "servers/_shared/allowed", "_run/settings", "_run/listed",
}  # fmt: skip
"""Values and decisions: they know no clock, no chance, no task and no I/O."""
NOT_PURE = {
    "trio",
    "httpx",
    "httpx2",
    "time",
    "random",
    "secrets",
    "socket",
    "threading",
    "asyncio",
}

DEFAULTS = {
    ("_config", "models._names"),
    ("_config", "models"),
    ("_runtime/open_runtime", "stores._memory"),
    ("_runtime/open_runtime", "stores"),
}
"""Where something that is open to all has a default: the only imports of implementations."""
CONTRACTS = {"models": {"_model", "_parts"}, "stores": {"_watch"}}
"""What is no implementation, in the rooms that have some."""
SHARED = {"_provider"}
"""What several implementations stand on, and nobody else knows."""

PUBLIC = {"abc", "client", "local", "models", "stores", "testing", "tools", "wire"}


def name_of(path: Path) -> str:
    """Such as ``_log/feed``, ``servers/http/_app``, ``__init__``."""
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return "/".join(parts[1:] if parts[0] == "trio_agent" else parts)


CORE = sorted((REPOSITORY / "trio_agent").rglob("*.py"))
SERVERS = sorted((REPOSITORY / "servers").rglob("*.py"))
BENCHMARKS = sorted((REPOSITORY / "benchmarks").glob("*.py"))
SOURCE = {name_of(path): path for path in [*CORE, *SERVERS]}


@cache
def imports(path: Path) -> frozenset[str]:
    """Absolute names of what a module imports, wherever in it, but for annotations only."""
    name = name_of(path)
    package = ["trio_agent", *name.split("/")][:-1]
    found: set[str] = set()
    for node in _walk_at_run_time(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def _walk_at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        for other in node.orelse:
            yield from _walk_at_run_time(other)
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk_at_run_time(child)


def ours(path: Path) -> set[str]:
    """What it imports of this package, without the package's name."""
    prefix = "trio_agent."
    return {name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)}


def room_of(name: str) -> str:
    return name.replace("/", ".").partition(".")[0]


@pytest.mark.parametrize("name", SOURCE)
def test_imports_go_down(name: str) -> None:
    own = room_of(name)
    assert own in PLACES, f"give {own} its place in FLOORS"
    for imported in ours(SOURCE[name]):
        room = room_of(imported)
        if room not in PLACES:
            room = "__init__"  # a name of the package itself
        if room != own:
            assert PLACES[room] < PLACES[own], f"{name} imports {imported}"


@pytest.mark.parametrize("name", sorted(PURE))
def test_values_and_decisions_do_no_io(name: str) -> None:
    assert not {each.partition(".")[0] for each in imports(SOURCE[name])} & NOT_PURE


@pytest.mark.parametrize("name", [name for name in SOURCE if room_of(name) in ("_log", "_run")])
def test_logs_and_runs_know_contracts_only(name: str) -> None:
    for imported in ours(SOURCE[name]):
        room, _, rest = imported.partition(".")
        if room in CONTRACTS:
            assert rest.partition(".")[0] in CONTRACTS[room], f"{name} imports {imported}"


def test_nobody_else_knows_implementations() -> None:
    for name, path in SOURCE.items():
        if room_of(name) not in ("_config", "_runtime", "_cluster", "_agent"):
            continue
        for imported in ours(path):
            room, _, rest = imported.partition(".")
            if room in CONTRACTS and rest.partition(".")[0] not in CONTRACTS[room]:
                assert (name, imported.rpartition(".")[0]) in DEFAULTS, f"{name}: {imported}"


@pytest.mark.parametrize("kind", ["stores", "models"])
def test_implementations_do_not_know_each_other(kind: str) -> None:
    for name, path in SOURCE.items():
        parts = name.split("/")
        if parts[0] == kind and len(parts) == 3:
            known = {parts[1], *CONTRACTS[kind], *SHARED}
            for imported in ours(path):
                room, inner, *_ = [*imported.split("."), ""]
                assert room != kind or inner in known, f"{name}: {imported}"


def test_one_room_knows_httpx() -> None:
    libraries = {"httpx", "httpx2", "httpcore", "httpcore2"}
    importers = {
        name
        for name, path in SOURCE.items()
        if {i.partition(".")[0] for i in imports(path)} & libraries
    }
    assert importers == {"_http/library"}


def is_public(imported: str) -> bool:
    """Whether users may import it, too: no part of its module's name has an underscore."""
    module, _, _ = imported.rpartition(".")
    return not any(part.startswith("_") for part in module.split("."))


@pytest.mark.parametrize("path", [*SERVERS, *BENCHMARKS], ids=name_of)
def test_servers_and_benchmarks_import_public_names_only(path: Path) -> None:
    benchmark = path in BENCHMARKS
    for imported in ours(path):
        if benchmark or room_of(imported) != "servers":
            assert is_public(imported), f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("path", SERVERS, ids=name_of)
def test_rooms_of_servers_share_one_room(path: Path) -> None:
    """HTTP, WebSocket and command line: only the last knows the others, by their public names."""
    own = name_of(path).split("/")[1]
    for imported in ours(path):
        if room_of(imported) == "servers":
            room = imported.split(".")[1]
            if own in ("_shared", "http", "websocket"):
                assert room in {own, "_shared"}, f"{name_of(path)} imports {imported}"


def test_packages_do_no_work() -> None:
    """They are empty, or hand on what is below them."""
    for path in SOURCE.values():
        if path.name == "__init__.py":
            doc, *body = ast.parse(path.read_text()).body
            assert isinstance(doc, ast.Expr), f"{path} says what it is for"
            assert all(
                isinstance(node, ast.Import | ast.ImportFrom)
                or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("__"))
                for node in body
            ), path


def test_a_listing_shows_the_architecture() -> None:
    def entries(folder: str) -> set[str]:
        skipped = ("__pycache__", ".")
        return {p.name for p in (REPOSITORY / folder).iterdir() if not p.name.startswith(skipped)}

    # What issue 11 added has a room each: shapes of answers, instruments.
    assert len(entries("trio_agent")) <= 28
    assert {"cli", "http", "websocket"} <= entries("servers")
    assert len(entries("servers")) <= 6


def test_modules_are_small() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in SOURCE.items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
    assert statistics.median(lengths.values()) < 150


WITHOUT = {
    "models/_provider/_codec": "protocols without behaviour",
    "servers/cli/_usage": "an exception without behaviour",
}
"""Modules without a test file of their own, and why."""


@pytest.mark.parametrize("name", [n for n in SOURCE if not n.rpartition("/")[2].startswith("__")])
def test_each_module_has_a_test_file_of_its_name(name: str) -> None:
    *folders, module = [part.lstrip("_") for part in name.split("/")]
    path = REPOSITORY.joinpath("tests", *folders, f"test_{module}.py")
    assert path.exists() != (name in WITHOUT), f"{name} has its tests in {path}"


def test_the_checks_see_what_they_are_to_see() -> None:
    machine = ours(SOURCE["_run/machine"])
    assert {"_events.AnyEvent", "models._parts.ModelFinish"} <= machine
    assert "msgspec.UNSET" in imports(SOURCE["_run/machine"])
    assert "stores._watch.NewsWatch" in ours(SOURCE["stores/sqlite/_watch"])
    assert "_agent.Agent" not in ours(SOURCE["_runtime/runtime"]), "that is for annotations only"
    assert not is_public("_log.feed.Feed")
    assert is_public("abc.Store")
    assert is_public("models.openai.ChatDecoder")
    assert len(SOURCE) > 90
    assert set(PURE) <= set(SOURCE)
