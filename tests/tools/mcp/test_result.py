"""What a call returned, as a tool's output."""

import base64
from typing import Any

import pytest

pytest.importorskip("mcp", reason="pip install 'trio-agent[mcp]'")

from mcp_types import CallToolResult

from trio_agent import File, ToolError
from trio_agent.tools._files import MAX_BYTES, MAX_FILES, take_files
from trio_agent.tools.mcp._result import output_of


def result(*content: dict[str, Any], **more: Any) -> CallToolResult:
    return CallToolResult.model_validate({"content": content, **more}, by_name=False)


def blob(kind: str) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": "a://b", "blob": "AAAA", "mimeType": kind}}


PNG = File("image/png", data=bytes(3))
TEXT = {"type": "text", "text": "one"}


@pytest.mark.parametrize(
    ("given", "output"),
    [
        (result(), ""),
        (result(TEXT), "one"),
        (result(TEXT, {"type": "text", "text": "two"}), "one\ntwo"),
        (result(TEXT, structuredContent={"a": [1]}), {"a": [1]}),
        (result(TEXT, structuredContent={}), {}),
        (result(structuredContent=0), 0),
        (
            result(TEXT, {"type": "image", "data": "AAAA", "mimeType": "image/png"}),
            ["one", PNG],
        ),
        (result({"type": "image", "data": "AAAA", "mimeType": "Image/PNG"}, TEXT), ["one", PNG]),
        (
            result({"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}),
            [File("audio/wav", data=bytes(3))],
        ),
        (result(blob("application/pdf")), [File("application/pdf", data=bytes(3), name="a://b")]),
        # What no provider takes, or is none.
        (result(blob("application/zip")), "[left out: file a://b, application/zip]"),
        (
            result({"type": "image", "data": "!", "mimeType": "image/png"}),
            "[left out: image, image/png, about 0 bytes]",
        ),
        (
            result({"type": "image", "data": "AAAA", "mimeType": "image/*"}),
            "[left out: image, image/*, about 3 bytes]",
        ),
        (
            result({"type": "image", "data": "", "mimeType": "image/png"}),
            "[left out: image, image/png, about 0 bytes]",
        ),
        (
            result({"type": "audio", "data": "AA==", "mimeType": "audio/" + "x" * 300}),
            "[left out: audio, audio/" + "x" * 194 + "…, about 1 bytes]",
        ),
        (result({"type": "resource", "resource": {"uri": "a://b", "text": "hello"}}), "hello"),
        (
            result({"type": "resource", "resource": {"uri": "a://b", "blob": "AAAA"}}),
            "[left out: file a://b, of an unknown type]",
        ),
        (
            result({"type": "resource_link", "uri": "a://b", "name": "the file"}),
            "[a link to the file: a://b]",
        ),
    ],
)
def test_outputs(given: CallToolResult, output: Any) -> None:
    assert output_of(given) == output


def test_what_is_too_much_is_named() -> None:
    large = base64.b64encode(bytes(MAX_BYTES - 3)).decode()
    pictures = [
        {"type": "image", "data": d, "mimeType": "image/png"} for d in ("AAAA", large, "AA==")
    ]
    said, *files = output_of(result(*pictures))
    assert said == "[left out: image, image/png, about 1 bytes]"
    assert take_files([said, *files]) == (said, tuple(files))
    many = output_of(result(*pictures[:1] * (MAX_FILES + 1)))
    assert many == ["[left out: image, image/png, about 3 bytes]", *[PNG] * MAX_FILES]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (result(TEXT, isError=True, structuredContent={"a": 1}), "one"),
        (result(isError=True), "the tool failed, and did not say why"),
        (result({"type": "text", "text": "x" * 20_000}, isError=True), "x" * 10_000),
    ],
)
def test_errors(given: CallToolResult, message: str) -> None:
    with pytest.raises(ToolError) as caught:
        output_of(given)
    assert str(caught.value) == message
