"""What is said beside text: files, and texts among them.

A `data:` URL is taken as the data that it holds. URLs are for the provider; nobody here looks what
is behind one.
"""

import base64
import binascii
import re
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

_MEDIA_TYPE: Final = re.compile(  # RFC 6838
    r"[a-z0-9!#$&^_.+-]{1,127}/([a-z0-9!#$&^_.+-]{1,127}|\*)"
)
_DATA_URL: Final = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),(.*)", re.DOTALL | re.IGNORECASE)


class Part(msgspec.Struct, frozen=True, rename="camel", tag_field="type", omit_defaults=True):
    """A piece of a message's content. In JSON the `type` tells what it is."""


class Text(Part, frozen=True, tag="text"):
    """A text among files."""

    text: str


class File(Part, frozen=True, tag="file"):
    """An image, a recording, a document: exactly one of `url`, `data` and `blob`.

    `data` is the file itself (base64 in JSON). `url` is where the provider finds it: nobody here
    looks. `blob` is ``{run id}/{SHA-256 in hex}``: it was given to that run. Nothing is checked
    before a run is started with it.
    """

    media_type: str
    """Such as ``image/png``; ``image/*`` if it is a `url` of which no more is known."""
    url: str | None = None
    data: bytes | None = None
    blob: str | None = None
    name: str | None = None
    """What the user calls it, for providers that want to know."""


Content: TypeAlias = str | tuple[Text | File, ...]
"""What a user may say."""


def text_of(content: Content) -> str:
    """Return what of a content is text, without the files."""
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, Text))


def checked_file(file: File) -> File:
    """Return a file in the form in which it is kept. What its `blob` names is not looked at.

    Raises:
        ValueError: it is none: it says what is wrong.
    """
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
