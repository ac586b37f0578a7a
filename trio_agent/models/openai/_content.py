"""What a user says, in OpenAI's content parts. Performs no I/O.

The rules. Text without files goes as text: local servers know no parts. What has no part that all
providers read is refused here, with a word about what to do, rather than there.

Source: the OpenAI API reference, "Chat Completions", and its guides "Images and vision", "Audio"
and "File inputs".
"""

from collections.abc import Mapping
from typing import Any, Final

from ..._errors import ModelError
from ..._messages import Content, File, Text, text_of
from .._provider._file_data import data_url, in_base64

_AUDIO: Final[Mapping[str, str]] = {
    **dict.fromkeys(("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"), "wav"),
    **dict.fromkeys(("audio/mpeg", "audio/mp3"), "mp3"),
}
_PDF: Final = "application/pdf"


def encode_content(content: Content) -> str | list[dict[str, Any]]:
    """Return what stands as `content` of a user message.

    Raises:
        ModelError: `bad-request`: there is no part for a file.
    """
    if isinstance(content, str) or all(isinstance(part, Text) for part in content):
        return text_of(content)
    return [content_part(part) for part in content]


def content_part(part: Text | File) -> dict[str, Any]:
    """Return one part of a content.

    Raises:
        ModelError: `bad-request`: there is none for a file.
    """
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    type_ = part.media_type.partition(";")[0].strip().lower()
    if part.url is None and part.data is None:
        raise _refusal(part, "is not here: its data or URL is missing")
    if type_.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": part.url or data_url(part)}}
    if format_ := _AUDIO.get(type_):
        _check_data(part)
        sound = {"data": in_base64(part), "format": format_}
        return {"type": "input_audio", "input_audio": sound}
    if type_ == _PDF:
        _check_data(part)
        file = {"filename": part.name or "document.pdf", "file_data": data_url(part)}
        return {"type": "file", "file": file}
    if type_.startswith("audio/"):
        raise _refusal(part, "has no place in a chat completion: give it as WAV or MP3")
    if type_.startswith("text/"):
        raise _refusal(part, "has no place in a chat completion: give what is in it as Text")
    raise _refusal(part, "has no place in a chat completion: give images, WAV, MP3 or PDF")


def _check_data(part: File) -> None:
    if part.data is None:
        raise _refusal(part, "can't be given by URL in a chat completion: give its data")


def _refusal(part: File, why: str) -> ModelError:
    return ModelError("bad-request", f"a file of type {part.media_type[:100]!r} {why}")
