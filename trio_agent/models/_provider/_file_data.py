"""The data of a file as JSON can hold it."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from ..._errors import ModelError
from ..._messages import File, Text

PartT = TypeVar("PartT")


def in_base64(file: File) -> str:
    """Return the data of a file that has it."""
    assert file.data is not None
    return b64encode(file.data).decode()


def data_url(file: File) -> str:
    """Return a URL that holds the file itself. Source: RFC 2397."""
    return f"data:{file.media_type};base64,{in_base64(file)}"


def encode_shown(
    parts: Iterable[Text | File], encode: Callable[[Text | File], PartT]
) -> Iterator[PartT]:
    """Encode what tools have brought. In the place of a file that can't be sent, a text says so.

    A user who gives such a file is told; a tool, or a server that has it, is no reason to end a
    run.
    """
    for part in parts:
        try:
            encoded = encode(part)
        except ModelError:
            assert isinstance(part, File)
            name = f"{part.name!r}, " if part.name else ""
            encoded = encode(Text(f"[A file that you can't be shown: {name}{part.media_type}]"))
        yield encoded
