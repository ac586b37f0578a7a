"""What a call returned, as a tool's output: structured content as it is, or else its text.

What is neither is named, so that the model knows that there was more.
"""

from typing import Any, Final

from mcp_types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from ..._errors import ToolError

_MAX_ERROR: Final = 10_000
"""Characters of an error that the model is told."""
_MAX_LABEL: Final = 200


def output_of(result: CallToolResult) -> Any:
    """Return what the tool returned: a JSON value.

    Raises:
        ToolError: the server says that the call failed; in its words.
    """
    if result.is_error:
        raise ToolError(_text(result)[:_MAX_ERROR] or "the tool failed, and did not say why")
    if result.structured_content is not None:
        return result.structured_content
    return _text(result)


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
