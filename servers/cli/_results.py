"""The results of a batch: a file to which lines of JSON are appended.

- A line is written at once and never changed; if an input has several, the last one counts.
- Only the last line can be half there, from a process or machine that died. It is cut off, which
  is said, and its input is run again.
- A file belongs to one list of inputs and one agent, and to one batch at a time.
- Who makes it is the only one who may read it: it holds what was said.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from trio_agent import Agent, Mapped, RunFailed, RunIncomplete, Usage
from trio_agent.abc import lock_file

from ._agents import model_name
from ._inputs import Item
from ._say import say
from ._usage import UsageError

_BEGINNING: Final = b'{"index":'
_MODE: Final = 0o600


class Outcome(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """One line."""

    index: int
    """The number of the input line, from 0."""
    input: str
    """Hash of the input line, so that results are never taken for another input's."""
    agent: str | None = None
    """`fingerprint` of who did it; None in files of older versions."""
    model: str | None = None
    status: str
    """The finish reason, `waiting` if a call waited for somebody, or `error`."""
    id: str | int | None = None
    run_id: str | None = None
    text: str | None = None
    output: Any = msgspec.UNSET
    """The JSON value of an answer with a shape; `null` is one."""
    error: dict[str, str] | None = None
    steps: int | None = None
    usage: Usage | None = None
    seconds: float | None = None
    ttft: float | None = None
    """Seconds from the start to the model's first token."""
    started_at: int | None = None
    """Unix time in milliseconds, as that of the end."""
    ended_at: int | None = None


def is_failure(status: str) -> bool:
    """Whether this is the status of anything but a whole answer."""
    return status != "stop"


def fingerprint(agent: Agent) -> str:
    """Hash what makes results comparable: name, instructions, tools, and the model's name."""
    who = agent.fingerprint() + model_name(agent.model).encode()
    return hashlib.sha256(who).hexdigest()[:16]


def outcome_of(agent: Agent, item: Item, mapped: Mapped, *, now: float) -> Outcome:
    """Say in a line what came of an input, `now` in Unix time."""
    ended_at = round(1000 * now)
    outcome = Outcome(
        index=item.index,
        input=item.hash,
        agent=fingerprint(agent),
        model=model_name(agent.model),
        status="error",
        id=item.id,
        run_id=mapped.run_id,
        seconds=round(mapped.seconds, 3),
        ttft=None if mapped.ttft is None else round(mapped.ttft, 3),
        started_at=ended_at - round(1000 * mapped.seconds),
        ended_at=ended_at,
    )
    if mapped.result is not None:
        outcome.status = mapped.result.finish_reason
        outcome.text = mapped.result.text
        outcome.steps = mapped.result.steps
        outcome.usage = mapped.result.usage
        if agent.shape is not None and outcome.status == "stop":
            outcome.output = agent.shape.to_json(mapped.result.output)
    elif isinstance(mapped.error, RunIncomplete):  # it waits for somebody: nobody is asked here
        outcome.status = mapped.error.finish_reason
    else:
        code = getattr(mapped.error, "code", type(mapped.error).__name__)
        message = mapped.error.message if isinstance(mapped.error, RunFailed) else str(mapped.error)
        outcome.error = {"code": code, "message": message}
        if isinstance(mapped.error, RunFailed) and mapped.error.result is not None:
            outcome.steps = mapped.error.result.steps
            outcome.usage = mapped.error.result.usage
    return outcome


class Results:
    """A file of results that is open for more. Made by `open_results`."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    def read(self, items: Sequence[Item], agent: Agent) -> dict[int, str]:
        """Return the statuses that are there by the indexes of the inputs; cut half a line off.

        Raises:
            UsageError: these are no results, or those of other inputs or of another agent.
        """
        with _writing(self._path):
            content = self._path.read_bytes()
        *lines, half = content.split(b"\n")
        found = {outcome.index: outcome.status for outcome in self._decode(lines, items, agent)}
        if half:
            if half[: len(_BEGINNING)] != _BEGINNING[: len(half)]:
                raise self._no_result(len(lines) + 1)
            with _writing(self._path):
                os.truncate(self._path, len(content) - len(half))
            say(f"{self._path}: half a line at the end was removed, its input is run again")
        return found

    def _decode(
        self, lines: Iterable[bytes], items: Sequence[Item], agent: Agent
    ) -> Iterator[Outcome]:
        ours = fingerprint(agent)
        for number, line in enumerate(lines, 1):
            try:
                outcome = msgspec.json.decode(line, type=Outcome)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise self._no_result(number) from None
            index = outcome.index
            if not 0 <= index < len(items) or items[index].hash != outcome.input:
                raise UsageError(
                    f"{self._path} has results of other inputs: give another --out, or the same"
                    " inputs"
                )
            if outcome.agent not in (None, ours):
                raise UsageError(
                    f"{self._path} has results of another agent (name, instructions, tools or"
                    f" model; its model was {outcome.model}): give another --out, or the same agent"
                )
            yield outcome

    def _no_result(self, number: int) -> UsageError:
        return UsageError(f"{self._path}, line {number} is no result: give another --out")

    def add(self, outcome: Outcome) -> None:
        """Append a line.

        Raises:
            UsageError: the file can't be written.
        """
        with _writing(self._path):
            self._file.write(msgspec.json.encode(outcome) + b"\n")
            self._file.flush()


@contextmanager
def open_results(path: Path) -> Iterator[Results]:
    """Open a file of results, which is made if there is none, for this batch alone.

    Raises:
        UsageError: it can't be written, or another batch is writing it.
    """
    with _writing(path):
        file = open(path, "ab", opener=_private)  # noqa: SIM115
    try:
        with _writing(path):
            try:
                lock_file(file)
            except BlockingIOError:
                raise UsageError(f"another batch is writing {path}: give another --out") from None
        yield Results(path, file)
    finally:
        with _writing(path):
            file.close()  # what could not be written is tried once more


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, _MODE)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise UsageError(f"can't write {path}: {exc.strerror}") from exc
