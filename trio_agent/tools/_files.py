"""Files that a tool returned: a file alone, or files and texts in a list.

They go to the model and to viewers as they are, so that they have to be in the log: what is in them
is bounded as no file of a user is. Files within other values are not looked for.
"""

from typing import Final, TypeGuard

import msgspec

from .._content import File, Text, checked_file
from .._errors import ToolError
from .._log.plain import plain_text

MAX_BYTES: Final = 4 << 20
"""Of the files that one call returns, all together."""
MAX_FILES: Final = 100
"""That one call returns: what providers take in one request."""


def take_files(value: object) -> tuple[object, tuple[File, ...]]:
    """Take what a tool returned apart: what is no file, and the files.

    Texts are joined by line ends. Where there are none, the names of the files, or what they are,
    stand for them. What holds no files is returned as it is.

    Raises:
        ToolError: a file is none, or there is too much in them.
    """
    if isinstance(value, File):
        value = [value]
    if not _has_files(value):
        return value, ()
    given: list[File] = []
    texts: list[str] = []
    for part in value:
        if isinstance(part, File):
            given.append(part)
        else:
            texts.append(part.text if isinstance(part, Text) else part)
    if len(given) > MAX_FILES:
        raise ToolError(f"the tool returned {len(given)} files, {MAX_FILES} are allowed")
    files = tuple(map(_taken, given))
    size = sum(len(file.data or b"") + len(file.url or "") + len(file.name or "") for file in files)
    if size > MAX_BYTES:
        raise ToolError(
            f"the files that the tool returned have {size} bytes together, {MAX_BYTES} (4 MiB) are"
            " allowed: ask for less"
        )
    names = ", ".join(file.name or file.media_type for file in files)
    return "\n".join(texts) or names, files


def _has_files(value: object) -> TypeGuard[list[str | Text | File] | tuple[str | Text | File, ...]]:
    return (
        isinstance(value, list | tuple)
        and all(isinstance(part, str | Text | File) for part in value)
        and any(isinstance(part, File) for part in value)
    )


def _taken(file: File) -> File:
    if file.blob is not None:
        raise ToolError("a tool returns a file by its data or its url, not as a blob of a run")
    if not isinstance(file.data, bytes | None):
        raise ToolError(f"the data of a file is bytes, not {type(file.data).__name__}")
    try:
        file = checked_file(file)
    except ValueError as exc:
        raise ToolError(f"the tool returned a file that is none: {exc}") from None
    return file if file.name is None else msgspec.structs.replace(file, name=plain_text(file.name))
