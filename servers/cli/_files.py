"""Files that the command line names, for a model to look at, and those that tools returned."""

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from trio_agent import Content, File, RuntimeLimits, Text

from .._shared.media_types import by_name
from ._text import printable_line
from ._usage import UsageError

_LONGEST: Final = 200
"""Characters of a name or a URL that are shown."""

MAX_BYTES: Final = RuntimeLimits().max_blob_bytes
"""Of all files together, which is what servers take by default."""


def read_files(paths: Sequence[str]) -> tuple[File, ...]:
    """Read files, whole.

    Raises:
        UsageError: one can't be read, is empty or of an unknown kind, or they are too large.
    """
    files: list[File] = []
    room = MAX_BYTES
    for path in paths:
        try:
            with open(path, "rb") as file:
                data = file.read(room + 1)
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else exc
            raise UsageError(f"--file {path}: {reason}") from exc
        if not data:
            raise UsageError(f"--file {path}: the file is empty")
        room -= len(data)
        if room < 0:
            most = f"{MAX_BYTES >> 20} MiB"
            raise UsageError(f"--file {path}: files have at most {most} together")
        files.append(File(_media_type(path, data), data=data, name=Path(path).name))
    return tuple(files)


def file_line(file: File) -> str:
    """Say what a file is, in a line: its name, media type, size or where it is, as far as told."""
    where = file.url or (None if file.data is None else f"{len(file.data)} bytes")
    words = [word for word in (file.name, file.media_type, where) if word]
    return ", ".join(printable_line(word[:_LONGEST]) for word in words)


def content_lines(content: Content) -> list[str]:
    """Say what a user says: its text, and what the files in it are."""
    parts = (Text(content),) if isinstance(content, str) else content
    return [part.text if isinstance(part, Text) else file_line(part) for part in parts]


def _media_type(path: str, data: bytes) -> str:
    found = by_name(path) or mimetypes.guess_type(Path(path).name)[0]
    if found is not None:
        return found
    try:
        data.decode()
    except UnicodeDecodeError:
        message = "it can't be told what file this is: its name has to end like .png or .pdf"
        raise UsageError(f"--file {path}: {message}") from None
    return "text/plain"
