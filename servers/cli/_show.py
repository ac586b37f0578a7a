"""``trio-agent show``: a run of a store, from its start to its end, whoever works on it.

- What was taken back before we looked is left out. What is taken back while we look was printed,
  so that this is said.
- A run that nobody works on grows no more: that is said, too, and it is followed all the same, for
  it may go on when a server is started. As JSON it is the log, with all that is in it.
"""

import sys
from typing import Final

import trio

from trio_agent import AnyEvent, CursorExpired, RunFinish, UnknownRun
from trio_agent.abc import Entry, RunInfo, Store, Watch

from ._render import Renderer
from ._say import say
from ._taken_back import TakenBack
from ._text import printable_json
from ._usage import UsageError

_PAGE: Final = 500
_SILENT: Final = 2.0
"""Seconds without news after which we look whether anybody works on the run."""

_GONE: Final = (
    "nobody works on this run: its server is gone; it goes on, or is closed, when one with this"
    " store and its agent is started"
)


async def show_run(store: Store, run_id: str, *, as_json: bool) -> int:
    """Print a run, and follow it to its end; status 1 if it did not finish with `stop`."""
    try:
        async with store.open(), store.watch() as watch:
            watch.add(run_id)
            event = await _Shown(store, run_id, as_json=as_json).follow(watch)
    except (UnknownRun, CursorExpired) as exc:
        raise UsageError(str(exc)) from exc
    return 0 if isinstance(event, RunFinish) and event.run.finish_reason == "stop" else 1


class _Shown:
    def __init__(self, store: Store, run_id: str, *, as_json: bool) -> None:
        self._store = store
        self._run_id = run_id
        self._renderer = None if as_json else Renderer(sys.stdout)
        self._taken_back = TakenBack()
        self._after = 0
        self._last: AnyEvent | None = None

    async def follow(self, watch: Watch) -> AnyEvent | None:
        """Print all of it; returns the terminal event."""
        if self._renderer is not None:
            await self._taken_back.read(self._store, self._run_id)
        told = False
        while True:
            before = self._after
            await self._print()
            if self._last is not None and self._last.terminal:
                return self._last
            told = told and self._after == before
            if not told and _is_abandoned(await self._store.info(self._run_id)):
                say(_GONE)
                told = True
            with trio.move_on_after(_SILENT):
                await watch.receive()

    async def _print(self) -> None:
        while entries := (await self._store.read(self._run_id, self._after, _PAGE)).entries:
            for entry in entries:
                self._show(entry)
            self._after = entries[-1].offset

    def _show(self, entry: Entry) -> None:
        if not entry.readable:
            raise UsageError(f"the log is damaged at event {entry.offset}")
        self._last = event = entry.event
        if self._renderer is None:
            print(printable_json(entry.data.decode()), flush=True)
        elif event is not None and not self._taken_back.has(entry.offset, event):
            self._renderer.show(event)


def _is_abandoned(info: RunInfo) -> bool:
    return info.active and not info.leased and not info.parked
