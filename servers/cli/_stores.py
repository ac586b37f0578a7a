"""Stores as the command line names them, and the commands that list what is in one."""

from datetime import UTC, datetime
from pathlib import Path

from trio_agent import (
    CursorExpired,
    MemoryStore,
    RunError,
    RunFinish,
    SQLiteStore,
    StoreUnavailable,
    UnknownRun,
    ValkeyStore,
)
from trio_agent.abc import RunInfo, Store, ThreadCursor, ThreadInfo

from ._options import origin
from ._text import printable_line
from ._usage import UsageError

_PAGE = 500
_URLS = ("valkey://", "valkeys://", "redis://", "rediss://")


def make_store(name: str, *, follow: bool = False, lease: float = 10.0) -> Store:
    """Make the store that a name such as ``sqlite:runs.db`` means.

    Args:
        name: ``memory``, ``sqlite:PATH`` or the URL of a Valkey or Redis server.
        follow: whether it is only to be read, beside the server that has it.
        lease: seconds that a run's worker may be silent, where that is how its death is seen.

    Raises:
        UsageError: it means none.
    """
    option = origin("--store", name)
    if name == "memory":
        if follow:
            raise UsageError("a server's memory can't be read from outside: ask it for GET /runs")
        return MemoryStore()
    kind, _, path = name.partition(":")
    if kind == "sqlite" and path:
        return SQLiteStore(_sqlite_path(path, option), follow=follow)
    if name.startswith(_URLS):
        try:
            return ValkeyStore(name, lease=lease)
        except (ImportError, ValueError, StoreUnavailable) as exc:
            raise UsageError(f"{option}: {exc}") from exc
    memory = "" if follow else "memory, "
    # What was given is not repeated: it may hold a password.
    raise UsageError(f"{option} takes {memory}sqlite:PATH or valkey://HOST:PORT")


def _sqlite_path(path: str, option: str) -> Path:
    """Return the path, also of an URL as SQLAlchemy has it: three slashes and a relative path."""
    if path.startswith("//"):
        host, slash, path = path[2:].partition("/")
        if host:
            raise UsageError(
                f"{option}: SQLite has no host: sqlite:PATH, sqlite:///PATH"
                " (relative) or sqlite:////PATH (absolute)"
            )
        if slash and path and not path.startswith("/") and not Path(path).parent.is_dir():
            raise UsageError(
                f"{option}: there is no folder {str(Path(path).parent)!r} here; an absolute path"
                f" has four slashes: sqlite:////{path}"
            )
    if "?" in path or path.startswith("file:"):
        raise UsageError(f"{option}: SQLite takes a path here, without options")
    if path in ("", ":memory:"):
        raise UsageError(f"{option}: for a store that is no file, give memory")
    return Path(path)


async def list_runs(store: Store, *, owner: str | None = None, thread: str | None = None) -> int:
    """Print the runs of a store, newest first: of one owner or of all, or of one thread."""
    before: str | None = None
    try:
        async with store.open():
            while infos := await store.find(owner, before, _PAGE, thread):
                for info in infos:
                    print("\t".join(map(printable_line, _summary(info))))
                before = infos[-1].record.run_id
    except (UnknownRun, CursorExpired):
        raise UsageError("runs were removed while they were listed: try again") from None
    return 0


async def list_threads(store: Store, owner: str | None) -> int:
    """Print the threads of one owner, or of nobody, that in which something happened last first."""
    before: ThreadCursor | None = None
    async with store.open():
        while infos := await store.threads(owner, before, _PAGE):
            for info in infos:
                print("\t".join(map(printable_line, _standing_of(info))))
            before = infos[-1].cursor
    return 0


def _standing_of(thread: ThreadInfo) -> list[str]:
    turns = f"{thread.turns} turns"
    active = "idle" if thread.active is None else f"active {thread.active}"
    return [thread.thread, turns, active, _when(thread.updated_at)]


def _summary(info: RunInfo) -> list[str]:
    record = info.record
    status: str
    match info.last and info.last.event:
        case RunFinish(run=run):
            status = run.finish_reason
        case RunError(error=error):
            status = f"error {error.code}"
        case _:
            status = _standing(info)
    return [record.run_id, record.agent, status, f"{info.tail} events", _when(record.created_at)]


def _standing(info: RunInfo) -> str:
    if info.parked:
        return "waiting"
    return "active" if info.leased else "without a worker"


def _when(at: int) -> str:
    return datetime.fromtimestamp(at // 1000, UTC).isoformat()
