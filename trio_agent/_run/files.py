"""Files in messages: in the messages while a run works, beside the run in its store.

A file that an earlier run was given is read when the next run starts, which then has its own: runs
are removed one by one. Files that a tool of the run has returned are in its log.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import msgspec

from .._content import checked_file
from .._log.cursor import valid_run_id
from .._messages import AnyMessage, File, Text, ToolMessage, UserMessage

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LOST: Final = Text("(a file that is there no more)")


def files_of(messages: Sequence[AnyMessage]) -> Iterator[File]:
    """Return all files, in their order."""
    for message in messages:
        _, parts = _parts(message)
        yield from (part for part in parts if isinstance(part, File))


def checked(messages: Sequence[AnyMessage]) -> tuple[AnyMessage, ...]:
    """Return the messages with all files in one of their forms.

    Raises:
        ValueError: a file is none, or a content is empty. It is told which.
    """
    return tuple(_checked(m, f"$.messages[{index}]") for index, m in enumerate(messages))


def _checked(message: AnyMessage, place: str) -> AnyMessage:
    if isinstance(message, UserMessage) and message.content == ():
        raise ValueError(f"a message has no content: give it a text or a file - at `{place}`")
    field, parts = _parts(message)
    taken: list[Text | File] = []
    for index, part in enumerate(parts):
        try:
            taken.append(_checked_file(part) if isinstance(part, File) else part)
        except ValueError as exc:
            raise ValueError(f"{exc} - at `{place}.{field}[{index}]`") from None
    return msgspec.structs.replace(message, **{field: tuple(taken)}) if parts else message


def _checked_file(file: File) -> File:
    if file.blob is not None:
        run_id, _, digest = file.blob.partition("/")
        if not (valid_run_id(run_id) and _DIGEST.fullmatch(digest)):
            raise ValueError("the blob of a file is {run id}/{SHA-256}: pass it as you got it")
    return checked_file(file)


def set_apart(
    messages: Sequence[AnyMessage], run_id: str
) -> tuple[tuple[AnyMessage, ...], dict[str, bytes]]:
    """Return the messages as they are stored with a run, and the files beside it, by SHA-256."""
    blobs: dict[str, bytes] = {}

    def apart(file: File) -> File:
        if file.data is None:
            return file
        digest = hashlib.sha256(file.data).hexdigest()
        blobs[digest] = file.data
        return msgspec.structs.replace(file, data=None, blob=f"{run_id}/{digest}")

    return tuple(_mapped(message, apart) for message in messages), blobs


async def put_in(
    messages: Sequence[AnyMessage], read: Callable[[str, str], Awaitable[bytes]]
) -> tuple[AnyMessage, ...]:
    """Return the messages with the data of files that are beside a run.

    Args:
        messages: the messages.
        read: reads a file of a run, by its SHA-256.
    """
    found: dict[str, bytes] = {}
    for file in files_of(messages):
        if file.blob is not None and file.blob not in found:
            run_id, _, digest = file.blob.partition("/")
            found[file.blob] = await read(run_id, digest)
    if not found:
        return tuple(messages)

    def whole(file: File) -> File:
        if file.blob is None:
            return file
        return msgspec.structs.replace(file, data=found[file.blob], blob=None)

    return tuple(_mapped(message, whole) for message in messages)


def without_files(messages: Sequence[AnyMessage]) -> tuple[AnyMessage, ...]:
    """Return the messages with a note in the place of each file that has nothing but a name."""
    return tuple(map(_without_files, messages))


def _without_files(message: AnyMessage) -> AnyMessage:
    match message:
        case UserMessage(content=tuple() as parts):
            noted = (_LOST if isinstance(p, File) and p.blob is not None else p for p in parts)
            return msgspec.structs.replace(message, content=tuple(noted))
        case ToolMessage(files=files):
            left = tuple(file for file in files if file.blob is None)
            return msgspec.structs.replace(message, files=left)
    return message


def nameless(messages: Sequence[AnyMessage]) -> tuple[AnyMessage, ...]:
    """Return the messages with files by their SHA-256 only, whichever run was given them."""

    def alone(file: File) -> File:
        if file.blob is None:
            return file
        return msgspec.structs.replace(file, blob=f"/{file.blob.partition('/')[2]}")

    return tuple(_mapped(message, alone) for message in messages)


def _mapped(message: AnyMessage, change: Callable[[File], File]) -> AnyMessage:
    field, parts = _parts(message)
    if not parts:
        return message
    changed = (part if isinstance(part, Text) else change(part) for part in parts)
    return msgspec.structs.replace(message, **{field: tuple(changed)})


def _parts(message: AnyMessage) -> tuple[str, tuple[Text | File, ...]]:
    """Return where in a message files may be, and what is there."""
    match message:
        case UserMessage(content=tuple() as parts):
            return "content", parts
        case ToolMessage(files=files):
            return "files", files
        case _:
            return "", ()
