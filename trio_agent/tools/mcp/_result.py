"""What a call returned, as a tool's output: structured content as it is, or else texts and files.

Images, sound and PDFs are files, unless there is too much in them. What is nothing of that is
named, so that the model knows that there was more: no provider would take it.
"""

import re
from typing import Any, Final

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from ..._content import File, checked_file
from ..._errors import ToolError
from .._files import MAX_BYTES, MAX_FILES

_MAX_ERROR: Final = 10_000
"""Characters of an error that the model is told."""
_MAX_LABEL: Final = 200
_TAKEN: Final = re.compile(r"(image|audio)/[^*]+|application/pdf", re.IGNORECASE)


def output_of(result: CallToolResult) -> Any:
    """Return what the tool returned: a JSON value, or texts and files.

    Raises:
        ToolError: the server says that the call failed; in its words.
    """
    if result.is_error:
        raise ToolError(_text(result)[:_MAX_ERROR] or "the tool failed, and did not say why")
    if result.structured_content is not None:
        return result.structured_content
    files = _files(result)
    others = [_text_of(block) for place, block in enumerate(result.content) if place not in files]
    return [*others, *files.values()] if files else _text(result)


def _files(result: CallToolResult) -> dict[int, File]:
    """Return the files by their places, as many as a result may have."""
    files: dict[int, File] = {}
    room = MAX_BYTES
    for place, block in enumerate(result.content):
        file = _file_of(block)
        size = 0 if file is None else len(file.data or b"") + len(file.name or "")
        if file is not None and size <= room and len(files) < MAX_FILES:
            files[place] = file
            room -= size
    return files


def _file_of(block: ContentBlock) -> File | None:
    match block:
        case ImageContent(data=data, mime_type=kind) | AudioContent(data=data, mime_type=kind):
            name = None
        case EmbeddedResource(
            resource=BlobResourceContents(blob=data, mime_type=str(kind), uri=uri)
        ):
            name = _label(str(uri))
        case _:
            return None
    if not _TAKEN.fullmatch(kind):
        return None
    try:
        return checked_file(File(kind, url=f"data:{kind};base64,{data}", name=name))
    except ValueError:
        return None


def _text(result: CallToolResult) -> str:
    return "\n".join(_text_of(block) for block in result.content)


def _text_of(block: ContentBlock) -> str:
    match block:
        case TextContent():
            return block.text
        case EmbeddedResource(resource=TextResourceContents(text=text)):
            return text
        case ImageContent() | AudioContent():
            # base64: four characters are three bytes.
            size = len(block.data.rstrip("=")) * 3 // 4
            return f"[left out: {block.type}, {_label(block.mime_type)}, about {size} bytes]"
        case EmbeddedResource():
            kind = _label(block.resource.mime_type or "of an unknown type")
            return f"[left out: file {_label(str(block.resource.uri))}, {kind}]"
        case ResourceLink():
            return f"[a link to {_label(block.name)}: {_label(str(block.uri))}]"


def _label(text: str) -> str:
    return text if len(text) <= _MAX_LABEL else f"{text[:_MAX_LABEL]}…"
