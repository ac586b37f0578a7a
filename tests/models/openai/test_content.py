"""What a user says, in content parts."""

from typing import Any

import pytest

from trio_agent._errors import ModelError
from trio_agent._messages import Content, File, Text
from trio_agent.models.openai._content import encode_content

HI = {"type": "text", "text": "Hi"}


@pytest.mark.parametrize(
    ("content", "encoded"),
    [
        ("Hi", "Hi"),
        ((), ""),
        ((Text("Hi"),), "Hi"),
        ((Text("Hi"), Text(" there")), "Hi there"),
        (
            (Text("Hi"), File("image/png", url="https://x/a.png")),
            [HI, {"type": "image_url", "image_url": {"url": "https://x/a.png"}}],
        ),
        (
            (File("image/jpeg", data=b"abc"), Text("Hi")),
            [{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,YWJj"}}, HI],
        ),
        (
            (File("audio/X-WAV; rate=8000", data=b"abc"),),
            [{"type": "input_audio", "input_audio": {"data": "YWJj", "format": "wav"}}],
        ),
        (
            (File("audio/mpeg", data=b"abc"),),
            [{"type": "input_audio", "input_audio": {"data": "YWJj", "format": "mp3"}}],
        ),
        (
            (File("application/pdf", data=b"abc", name="a.pdf"),),
            [
                {
                    "type": "file",
                    "file": {
                        "filename": "a.pdf",
                        "file_data": "data:application/pdf;base64,YWJj",
                    },
                }
            ],
        ),
        (
            (File("application/pdf", data=b""),),
            [
                {
                    "type": "file",
                    "file": {
                        "filename": "document.pdf",
                        "file_data": "data:application/pdf;base64,",
                    },
                }
            ],
        ),
    ],
)
def test_content(content: Content, encoded: Any) -> None:
    assert encode_content(content) == encoded


@pytest.mark.parametrize(
    ("file", "what_to_do"),
    [
        (File("image/png", blob="r/00"), "'image/png' is not here"),
        (File("image/png"), "'image/png' is not here"),
        (File("audio/wav", url="https://x/a.wav"), "'audio/wav' can't be given by URL"),
        (File("application/pdf", url="https://x/a.pdf"), "give its data"),
        (File("audio/ogg", data=b"a"), "'audio/ogg' has no place .* give it as WAV or MP3"),
        (File("text/plain", data=b"a"), "'text/plain' has no place .* as Text"),
        (File("video/mp4", data=b"a"), "'video/mp4' has no place .* give images, WAV, MP3 or PDF"),
        (File("x" * 1000, data=b"a"), "type 'x{100}' has"),
    ],
)
def test_what_has_no_part(file: File, what_to_do: str) -> None:
    with pytest.raises(ModelError, match=f"bad-request: .*{what_to_do}"):
        encode_content((Text("Hi"), file))
