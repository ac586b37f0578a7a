"""What a user says, in the parts of OpenAI's Responses.

Source: the OpenAI API reference, "Create a response", `input`.
"""

from collections.abc import Mapping
from typing import Any, Final

from ..._errors import ModelError
from ..._messages import Content, File, Text
from .._provider._file_data import data_url

_NO_FILES: Final = ("audio/", "video/")
_ENDINGS: Final[Mapping[str, str]] = {"text/plain": "txt", "text/markdown": "md"}


def input_content(content: Content) -> str | list[dict[str, Any]]:
    """Return the content of a user's message.

    Raises:
        ModelError: `bad-request`: there is a file that the API has no part for.
    """
    return content if isinstance(content, str) else [content_part(part) for part in content]


def content_part(part: Text | File) -> dict[str, Any]:
    """Return one part of a content.

    Raises:
        ModelError: `bad-request`: there is none for a file.
    """
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    if part.media_type.startswith(_NO_FILES):
        raise _refused(part, "the Responses API takes texts, images and documents")
    if part.data is None and part.url is None:
        raise _refused(part, "its blob was not resolved: it needs data or a url")
    if part.media_type.startswith("image/"):
        return {"type": "input_image", "image_url": part.url or data_url(part), "detail": "auto"}
    if part.data is None:
        return {"type": "input_file", "file_url": part.url}
    return {"type": "input_file", "filename": _name(part), "file_data": data_url(part)}


def _name(part: File) -> str:
    """The provider tells by its ending what a file is, and refuses one without a name."""
    ending = _ENDINGS.get(part.media_type, part.media_type.rpartition("/")[2])
    return part.name or f"file.{ending}"


def _refused(part: File, why: str) -> ModelError:
    return ModelError("bad-request", f"a file of type {part.media_type!r} can't be sent: {why}")
