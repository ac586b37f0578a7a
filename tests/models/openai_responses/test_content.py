"""What a user says, in parts."""

import pytest

from trio_agent._errors import ModelError
from trio_agent._messages import File, Text
from trio_agent.models.openai_responses._content import input_content

DATA = "data:{};base64,aGk="


def test_a_text_stays_one() -> None:
    assert input_content("Hi") == "Hi"


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (Text("Hi"), {"type": "input_text", "text": "Hi"}),
        (
            File("image/png", url="https://x/y"),
            {"type": "input_image", "image_url": "https://x/y", "detail": "auto"},
        ),
        (
            File("image/png", data=b"hi"),
            {"type": "input_image", "image_url": DATA.format("image/png"), "detail": "auto"},
        ),
        (
            File("application/pdf", url="https://x/y.pdf"),
            {"type": "input_file", "file_url": "https://x/y.pdf"},
        ),
        (
            File("application/pdf", data=b"hi", name="a.pdf"),
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": DATA.format("application/pdf"),
            },
        ),
        *(
            (
                File(type_, data=b"hi"),
                {"type": "input_file", "filename": name, "file_data": DATA.format(type_)},
            )
            for type_, name in (
                ("application/pdf", "file.pdf"),
                ("text/plain", "file.txt"),
                ("text/markdown", "file.md"),
                ("text/csv", "file.csv"),
            )
        ),
    ],
)
def test_parts(part: Text | File, sent: dict[str, str]) -> None:
    assert input_content((part,)) == [sent]


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (File("audio/wav", data=b"hi"), "'audio/wav' can't be sent: the Responses API takes"),
        (File("video/mp4", url="https://x/y"), "'video/mp4' can't be sent"),
        (File("image/png", blob="run/abc"), "its blob was not resolved"),
        (File("application/pdf", blob="run/abc"), "its blob was not resolved"),
    ],
)
def test_what_the_api_has_no_part_for(part: File, why: str) -> None:
    with pytest.raises(ModelError, match=why) as info:
        input_content((Text("x"), part))
    assert (info.value.code, info.value.retryable) == ("bad-request", False)
