"""The inputs of a batch: lines of JSON, each a prompt or a transcript."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import attrs
import msgspec

from trio_agent import RunInput

from .._shared.messages import Said, messages_of
from .._shared.problem import Problem
from ._usage import UsageError


@attrs.frozen
class Item:
    """One line."""

    index: int
    """Its number, from 0."""
    hash: str
    id: str | int | None
    """What the user calls it."""
    value: RunInput


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    prompt: str | None = None
    messages: tuple[Said, ...] = ()
    id: str | int | None = None


def read_items(path: Path) -> Iterator[Item]:
    """Read all lines.

    Raises:
        UsageError: a line is none of these, or the file can't be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as exc:
        raise UsageError(f"can't read {path}: {exc.strerror}") from exc
    for index, line in enumerate(lines):
        try:
            parsed = msgspec.json.decode(line, type=str | tuple[Said, ...] | _Line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
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
        try:
            value = messages_of(said.messages) if said.prompt is None else said.prompt
        except Problem as problem:
            raise UsageError(f"{path}, line {index + 1}: {problem.message}") from None
        yield Item(index, hashlib.sha256(line).hexdigest()[:16], said.id, value)
