"""What stands in a message: texts and files, as our clients write them and those of others.

Rules:

- What has one meaning is taken, under whatever name: the fields tell where a file is, the `type`
  of a part only what kind it is. What can't be meant is a 400 that names the place.
- A file's media type is what is said; otherwise what its `data:` URL says, or the ending of its
  URL or name. Of an image by its URL nobody has to know more than `image/*`.
- Nothing is fetched, and a file that is at somebody else's by an id can't be had.

Source: the OpenAI API reference, "Chat Completions" and "Responses"; the Anthropic API reference,
"Messages".
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from trio_agent import Content, File, Text

from .media_types import by_name, by_url, is_data
from .problem import Problem

_TEXTS: Final = ("text", "input_text", "output_text")
_IMAGES: Final = ("image_url", "input_image", "image")
_FILES: Final = ("file", "input_file", "document", "input_audio")
_REFUSAL: Final = "refusal"

_AUDIO: Final = {"mp3": "audio/mpeg"}
"""Formats whose media type is not called as they are."""


class _Link(msgspec.Struct, frozen=True):
    url: str


class _ChatFile(msgspec.Struct, frozen=True):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _Audio(msgspec.Struct, frozen=True):
    data: str
    format: str


class _Source(msgspec.Struct, frozen=True):
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    media_type: str | None = None


class Part(msgspec.Struct, frozen=True):
    """A part of a content, as any client writes it. What else it has says nothing to us."""

    type: str
    text: str | None = None
    refusal: str | None = None
    url: str | None = None
    data: str | None = None
    blob: str | None = None
    name: str | None = None
    filename: str | None = None
    our_media_type: str | None = msgspec.field(name="mediaType", default=None)
    media_type: str | None = None
    mime_type: str | None = None
    image_url: str | _Link | None = None
    file_url: str | None = None
    file_data: str | None = None
    file_id: str | None = None
    file: _ChatFile | None = None
    input_audio: _Audio | None = None
    source: _Source | None = None


AnyContent: TypeAlias = str | tuple[Part, ...] | None


def bad(what: str, place: str) -> Problem:
    """Say what is wrong, and where."""
    return Problem(400, "bad-request", f"{what} - at `{place}`")


def content_of(content: AnyContent, place: str) -> Content:
    """Return what a user says.

    Raises:
        Problem: it can't be meant.
    """
    if content is None:
        raise bad("a content is a text, or a list of parts", place)
    if isinstance(content, str):
        return content
    parts = tuple(_part(part, f"{place}[{index}]") for index, part in enumerate(content))
    # There are providers that take nothing but a text, and it is all that this is.
    return parts[0].text if len(parts) == 1 and isinstance(parts[0], Text) else parts


def text_of(content: AnyContent, place: str) -> str:
    """Return what is said by somebody who has but words.

    Raises:
        Problem: there is something else.
    """
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for index, part in enumerate(content):
        text = part.refusal if part.type == _REFUSAL else part.text
        if part.type not in (*_TEXTS, _REFUSAL) or text is None:
            raise bad("only texts are taken from this role", f"{place}[{index}]")
        texts.append(text)
    return "".join(texts)


def _part(part: Part, place: str) -> Text | File:
    if part.type in _TEXTS:
        if part.text is None:
            raise bad(f"a part of type {part.type} has a text", place)
        return Text(part.text)
    return file_of(part, place, _TEXTS[:2])


def file_of(part: Part, place: str, others: Sequence[str] = ()) -> File:
    """Return the file that a part is, where only files may be, or some others.

    Raises:
        Problem: it can't be meant.
    """
    if part.type not in (*_IMAGES, *_FILES):
        known = ", ".join((*others, *_IMAGES, *_FILES))
        raise bad(f"the type of a part is one of {known}, not {part.type[:40]!r}", f"{place}.type")
    chat, source, audio = part.file or _ChatFile(), part.source or _Source(), part.input_audio
    if part.file_id or chat.file_id or source.file_id:
        raise bad("a file_id names a file at a provider: give its url or its data", place)
    link = part.image_url.url if isinstance(part.image_url, _Link) else part.image_url
    spoken = None if audio is None else audio.data
    urls = _given(part.url, part.file_url, link, source.url)
    data = _given(part.data, part.file_data, chat.file_data, source.data, spoken)
    blobs = _given(part.blob)
    if len(urls) + len(data) + len(blobs) != 1:
        raise bad("a file has exactly one of url, data (in base64) and blob", place)
    if data and is_data(data[0]):
        urls, data = data, []
    name = part.name or part.filename or chat.filename
    media_type = part.our_media_type or part.media_type or part.mime_type or source.media_type
    if media_type is None and audio is not None:
        media_type = _AUDIO.get(audio.format, f"audio/{audio.format}")
    if media_type is None and urls:
        media_type = by_url(urls[0])
    media_type = media_type or by_name(name)
    if media_type is None and urls and part.type in _IMAGES and not is_data(urls[0]):
        media_type = "image/*"
    if media_type is None:
        raise bad("it can't be told what file this is: give mediaType, like image/png", place)
    if urls:
        return File(media_type, url=urls[0], name=name)
    if blobs:
        return File(media_type, blob=blobs[0], name=name)
    return File(media_type, data=_decoded(data[0], place), name=name)


def _given(*values: str | None) -> Sequence[str]:
    return [value for value in values if value is not None]


def _decoded(data: str, place: str) -> bytes:
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise bad("the data of a file is base64, or a data: URL", place) from None
