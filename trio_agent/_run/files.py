"""Files in messages: in the messages while a run works, beside the run in its store.

What is given comes in three forms. A `data:` URL is taken as the data that it holds. A file that
an earlier run was given is read when the next run starts, which then has its own: runs are removed
one by one. URLs are for the provider; nobody here looks what is behind one.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from .._log.cursor import valid_run_id
from .._messages import AnyMessage, Content, File, Text, UserMessage

_MEDIA_TYPE: Final = re.compile(  # RFC 6838
    r"[a-z0-9!#$&^_.+-]{1,127}/([a-z0-9!#$&^_.+-]{1,127}|\*)"
)
_DATA_URL: Final = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),(.*)", re.DOTALL | re.IGNORECASE)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def files_of(messages: Sequence[AnyMessage]) -> Iterator[File]:
    """Return all files, in their order."""
    for message in messages:
        if isinstance(message, UserMessage) and not isinstance(message.content, str):
            yield from (part for part in message.content if isinstance(part, File))


def checked(messages: Sequence[AnyMessage]) -> tuple[AnyMessage, ...]:
    """Return the messages with all files in one of their forms.

    Raises:
        ValueError: a file is none, or a content is empty. It is told which.
    """
    return tuple(_checked(m, f"$.messages[{index}]") for index, m in enumerate(messages))


def _checked(message: AnyMessage, place: str) -> AnyMessage:
    if not isinstance(message, UserMessage) or isinstance(message.content, str):
        return message
    if not message.content:
        raise ValueError(f"a message has no content: give it a text or a file - at `{place}`")
    parts: list[Text | File] = []
    for index, part in enumerate(message.content):
        try:
            parts.append(_checked_file(part) if isinstance(part, File) else part)
        except ValueError as exc:
            raise ValueError(f"{exc} - at `{place}.content[{index}]`") from None
    return msgspec.structs.replace(message, content=tuple(parts))


def _checked_file(file: File) -> File:
    if file.url is not None and (match := _DATA_URL.fullmatch(file.url)):
        file = msgspec.structs.replace(file, url=None, data=_data_in(match[2], match[3]))
    media_type = file.media_type.partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise ValueError(f"{file.media_type[:80]!r} is no media type, such as image/png")
    given = [form for form in (file.url, file.data, file.blob) if form is not None]
    if len(given) != 1:
        raise ValueError("a file has exactly one of url, data and blob")
    if file.url is None and media_type.endswith("/*"):
        raise ValueError(f"{media_type!r} is for files by their URL: say which it is")
    if file.data == b"":
        raise ValueError("a file is empty")
    if file.url is not None and not _is_web(file.url):
        raise ValueError("the url of a file begins with https://, http:// or data:")
    if file.blob is not None:
        run_id, _, digest = file.blob.partition("/")
        if not (valid_run_id(run_id) and _DIGEST.fullmatch(digest)):
            raise ValueError("the blob of a file is {run id}/{SHA-256}: pass it as you got it")
    return msgspec.structs.replace(file, media_type=media_type)


def _data_in(parameters: str, text: str) -> bytes:
    """Source: RFC 2397."""
    data = unquote_to_bytes(text)
    if not parameters.lower().endswith(";base64"):
        return data
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        raise ValueError("the data: URL of a file has no base64 in it") from None


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable()


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


def nameless(messages: Sequence[AnyMessage]) -> tuple[AnyMessage, ...]:
    """Return the messages with files by their SHA-256 only, whichever run was given them."""

    def alone(file: File) -> File:
        if file.blob is None:
            return file
        return msgspec.structs.replace(file, blob=f"/{file.blob.partition('/')[2]}")

    return tuple(_mapped(message, alone) for message in messages)


def _mapped(message: AnyMessage, change: Callable[[File], File]) -> AnyMessage:
    if not isinstance(message, UserMessage) or isinstance(message.content, str):
        return message
    parts: Content = tuple(
        part if isinstance(part, Text) else change(part) for part in message.content
    )
    return msgspec.structs.replace(message, content=parts)
