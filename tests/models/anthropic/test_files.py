"""Files of users, as Anthropic's content blocks."""

from typing import Any

import pytest

from trio_agent._errors import ModelError
from trio_agent._messages import File, Text
from trio_agent.models.anthropic._files import content_blocks, text_blocks

BASE64 = {"type": "base64", "data": "aGk="}


@pytest.mark.parametrize(
    ("file", "block"),
    [
        (File("image/png", data=b"hi"),
         {"type": "image", "source": {**BASE64, "media_type": "image/png"}}),
        (File("IMAGE/JPEG; q=1", data=b"hi"),
         {"type": "image", "source": {**BASE64, "media_type": "image/jpeg"}}),
        (File("image/webp", url="https://h/i"),
         {"type": "image", "source": {"type": "url", "url": "https://h/i"}}),
        (File("image/*", url="https://h/i"),
         {"type": "image", "source": {"type": "url", "url": "https://h/i"}}),
        (File("application/pdf", data=b"hi", name="a.pdf"),
         {"type": "document", "source": {**BASE64, "media_type": "application/pdf"},
          "title": "a.pdf"}),
        (File("application/pdf", url="https://h/p"),
         {"type": "document", "source": {"type": "url", "url": "https://h/p"}}),
        (File("text/markdown", data=b"\xef\xbb\xbf# h\xc3\xa9"),
         {"type": "document", "source": {"type": "text", "media_type": "text/plain",
          "data": "# h\u00e9"}}),
    ],
)  # fmt: skip
def test_files(file: File, block: dict[str, Any]) -> None:
    assert content_blocks((file,)) == [block]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (File("audio/wav", data=b"x"), "takes no audio/wav, but JPEG"),
        (File("video/mp4", url="https://h/v"), "takes no video/mp4"),
        (File("image/tiff", data=b"x"), "takes no image/tiff"),
        (File("application/zip", data=b"x"), "takes no application/zip"),
        (File("text/plain", url="https://h/t"), "text/plain by URL: send it as data"),
        (File("text/plain", data=b"\xff"), "text/plain is no UTF-8 text"),
        (File("image/png", blob="run/0"), "read its blob before"),
        (File("x\n" * 200, data=b"x"), "takes no x x x"),
    ],
)
def test_files_that_anthropic_does_not_take(file: File, message: str) -> None:
    with pytest.raises(ModelError, match=message) as info:
        content_blocks((Text("a"), file))
    assert info.value.code == "bad-request"
    assert len(info.value.message) < 250


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u00a0"])
def test_blank_texts_are_left_out(blank: str) -> None:
    assert content_blocks(blank) == text_blocks(blank) == []
    assert content_blocks((Text(blank), Text("a"))) == [{"type": "text", "text": "a"}]
