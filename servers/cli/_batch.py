"""``trio-agent batch``: one agent over the lines of a file, taken up where it stopped."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs
import msgspec
import trio

from trio_agent import (
    Agent,
    AnyMessage,
    Mapped,
    ModelError,
    Retention,
    RunFailed,
    RunInput,
    RuntimeLimits,
    StoreUnavailable,
    Usage,
    open_runtime,
)
from trio_agent.abc import Store, lock_file

from ._usage import UsageError

_BAR: Final = 24
_BEGINNING: Final = b'{"index":'


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    prompt: str | None = None
    messages: tuple[AnyMessage, ...] = ()
    id: str | int | None = None


class _Outcome(msgspec.Struct, rename="camel", omit_defaults=True):
    """One line of the results."""

    index: int
    """The number of the input line, from 0."""
    input: str
    """Hash of the input line, so that results are never taken for another input's."""
    status: str
    """The finish reason, or `error`."""
    id: str | int | None = None
    run_id: str | None = None
    text: str | None = None
    error: dict[str, str] | None = None
    steps: int | None = None
    usage: Usage | None = None
    seconds: float | None = None


@attrs.frozen
class _Item:
    index: int
    hash: str
    id: str | int | None
    value: RunInput


@attrs.frozen(kw_only=True)
class BatchOptions:
    """What the command line says."""

    agent: Agent
    prompts: Path
    out: Path
    concurrency: int
    deadline: float | None
    store: Store | None


async def batch(options: BatchOptions) -> int:
    """Run what is missing in the results; returns the status of the process, 1 if any failed.

    Raises:
        UsageError: a file can't be used, another batch is writing it, or the results are those
            of other inputs.
        StoreUnavailable: the store can't be used, or not any more.
    """
    items = list(_read_items(options.prompts))
    with _open_results(options.out) as out:
        return await _run_missing(options, items, out)


async def _run_missing(options: BatchOptions, items: list[_Item], out: BinaryIO) -> int:
    done, failed = _read_done(options.out, items)
    missing = [item for item in items if item.index not in done]
    if done:
        _say(f"{len(done)} of {len(items)} were done before")
    limits = RuntimeLimits(
        max_streams=options.concurrency, retention=Retention(seconds=0, max_runs=0)
    )
    if options.store is not None:
        limits = attrs.evolve(limits, retention=Retention())
    async with open_runtime(store=options.store, limits=limits) as runtime:
        try:
            await runtime.check_model(options.agent)
        except ModelError as exc:
            raise UsageError(str(exc)) from exc
        values = [item.value for item in missing]
        bar = _Bar(len(items), len(done))
        bar.show(failed)
        async with runtime.map(
            options.agent,
            values,
            concurrency=options.concurrency,
            deadline=options.deadline,
        ) as results:
            async for mapped in results:
                if isinstance(mapped.error, StoreUnavailable):
                    raise mapped.error  # what is missing can be run later
                outcome = _outcome(missing[mapped.index], mapped)
                failed += outcome.status == "error"
                # One write, so that only the last line can ever be half there.
                with _writing(options.out):
                    out.write(msgspec.json.encode(outcome) + b"\n")
                    out.flush()
                bar.step(failed)
    return 1 if failed else 0


def _read_items(path: Path) -> Iterator[_Item]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as exc:
        raise UsageError(f"can't read {path}: {exc.strerror}") from exc
    for index, line in enumerate(lines):
        try:
            parsed = msgspec.json.decode(line, type=str | tuple[AnyMessage, ...] | _Line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise UsageError(f"{path}, line {index + 1}: {exc}") from None
        match parsed:
            case str():
                said = _Line(prompt=parsed)
            case tuple():
                said = _Line(messages=parsed)
            case _:
                said = parsed
        if (said.prompt is None) == (not said.messages):
            raise UsageError(f'{path}, line {index + 1}: give "prompt" or "messages"')
        value = said.messages if said.prompt is None else said.prompt
        yield _Item(index, hashlib.sha256(line).hexdigest()[:16], said.id, value)


def _read_done(path: Path, items: list[_Item]) -> tuple[set[int], int]:
    """Return the indexes of the results that are there, and how many of them are errors."""
    with _writing(path):
        content = path.read_bytes()
    *lines, half = content.split(b"\n")
    done: set[int] = set()
    failed = 0
    for number, line in enumerate(lines, 1):
        try:
            outcome = msgspec.json.decode(line, type=_Outcome)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise _no_result(path, number) from None
        if outcome.index >= len(items) or items[outcome.index].hash != outcome.input:
            raise UsageError(
                f"{path} has results of other inputs: give another --out, or the same inputs"
            )
        done.add(outcome.index)
        failed += outcome.status == "error"
    if half[: len(_BEGINNING)] != _BEGINNING[: len(half)]:
        raise _no_result(path, len(lines) + 1)
    with _writing(path):
        # That line was being written when everything ended; its input is run again.
        os.truncate(path, len(content) - len(half))
    return done, failed


def _no_result(path: Path, number: int) -> UsageError:
    return UsageError(f"{path}, line {number} is no result: give another --out")


@contextmanager
def _open_results(path: Path) -> Iterator[BinaryIO]:
    with _writing(path):
        out = path.open("ab")
    with out:
        with _writing(path):
            try:
                lock_file(out)
            except BlockingIOError:
                raise UsageError(f"another batch is writing {path}: give another --out") from None
        yield out


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise UsageError(f"can't write {path}: {exc.strerror}") from exc


def _outcome(item: _Item, mapped: Mapped) -> _Outcome:
    outcome = _Outcome(
        item.index,
        item.hash,
        "error",
        id=item.id,
        run_id=mapped.run_id,
        seconds=round(mapped.seconds, 3),
    )
    if mapped.result is not None:
        outcome.status = mapped.result.finish_reason
        outcome.text = mapped.result.text
        outcome.steps = mapped.result.steps
        outcome.usage = mapped.result.usage
    else:
        code = getattr(mapped.error, "code", type(mapped.error).__name__)
        message = mapped.error.message if isinstance(mapped.error, RunFailed) else str(mapped.error)
        outcome.error = {"code": code, "message": message}
    return outcome


class _Bar:
    """How far it is: a moving bar on a terminal, otherwise a line every tenth."""

    def __init__(self, total: int, done: int) -> None:
        self._total = total
        self._done = done
        self._started = trio.current_time()
        self._fresh = 0

    def step(self, failed: int) -> None:
        self._done += 1
        self._fresh += 1
        self.show(failed)

    def show(self, failed: int) -> None:
        share = self._done / self._total if self._total else 1.0
        seconds = trio.current_time() - self._started
        rate = f", {self._fresh / seconds:.1f}/s" if self._fresh and seconds else ""
        text = f"{self._done}/{self._total}, {failed} failed{rate}"
        if sys.stderr.isatty():
            bar = ("#" * int(_BAR * share)).ljust(_BAR)
            end = "\n" if self._done == self._total else ""
            print(f"\r[{bar}] {text}\x1b[K", end=end, file=sys.stderr, flush=True)
        elif self._done == self._total or self._done % max(1, self._total // 10) == 0:
            _say(text)


def _say(text: Any) -> None:
    print(text, file=sys.stderr, flush=True)
