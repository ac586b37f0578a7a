"""What a user says, as Anthropic's content blocks.

Source: Anthropic's documentation, "Vision", "PDF support", "Files API"; the types `ImageBlockParam`
and `DocumentBlockParam` of its Python SDK.
"""

from collections.abc import Iterable
from typing import Any, Final

from ..._errors import ModelError
from ..._http.words import clean
from ..._messages import Content, File, Text
from .._provider._file_data import encode_shown, in_base64

_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF: Final = "application/pdf"


def content_blocks(content: Content) -> list[dict[str, Any]]:
    """Return the blocks of a user's content. Blank texts, which are refused, are left out.

    Raises:
        ModelError: `bad-request`: a file is of a type that Anthropic's models can't read.
    """
    parts = (Text(content),) if isinstance(content, str) else content
    return [block for part in parts for block in _blocks(part)]


def result_blocks(parts: Iterable[Text | File]) -> list[dict[str, Any]]:
    """Return the blocks of a tool's result, as `content_blocks`, but it refuses no file."""
    return [block for blocks in encode_shown(parts, _blocks) for block in blocks]


def _blocks(part: Text | File) -> list[dict[str, Any]]:
    return text_blocks(part.text) if isinstance(part, Text) else [_file_block(part)]


def text_blocks(text: str) -> list[dict[str, Any]]:
    """Return the block of a text, or nothing if it is blank."""
    return [{"type": "text", "text": text}] if text.strip() else []


def _file_block(file: File) -> dict[str, Any]:
    type_ = file.media_type.partition(";")[0].strip().lower()
    name = clean(file.media_type, limit=80)
    if file.url is None and file.data is None:
        raise _bad_request("a file has neither data nor URL: read its blob before")
    if type_.startswith("image/") and (file.url is not None or type_ in _IMAGES):
        return {"type": "image", "source": _source(file, type_)}
    if type_ == _PDF:
        return _document(file, _source(file, type_))
    if type_.startswith("text/") and file.data is not None:
        return _document(file, _plain_text(file.data, name))
    if type_.startswith("text/"):
        raise _bad_request(f"Anthropic takes no {name} by URL: send it as data")
    raise _bad_request(
        f"Anthropic takes no {name}, but JPEG, PNG, GIF and WebP images, PDF documents and text"
    )


def _source(file: File, media_type: str) -> dict[str, Any]:
    if file.data is None:
        return {"type": "url", "url": file.url}
    return {"type": "base64", "media_type": media_type, "data": in_base64(file)}


def _plain_text(data: bytes, name: str) -> dict[str, Any]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _bad_request(f"a file of type {name} is no UTF-8 text") from None
    return {"type": "text", "media_type": "text/plain", "data": text}


def _document(file: File, source: dict[str, Any]) -> dict[str, Any]:
    title = {"title": file.name} if file.name else {}
    return {"type": "document", "source": source, **title}


def _bad_request(message: str) -> ModelError:
    return ModelError("bad-request", message)
