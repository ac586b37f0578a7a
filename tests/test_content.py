"""Contents: what of them is text, and what they are as JSON."""

import msgspec
import pytest

from trio_agent._content import Content, File, Text, text_of

IMAGE = File("image/png", data=b"png")


@pytest.mark.parametrize(
    ("content", "text"),
    [("as it is", "as it is"), ((), ""), ((Text("a"), IMAGE, Text("b")), "ab"), ((IMAGE,), "")],
)
def test_what_is_text(content: Content, text: str) -> None:
    assert text_of(content) == text


@pytest.mark.parametrize(
    ("part", "data"),
    [
        (Text("a"), b'{"type":"text","text":"a"}'),
        (IMAGE, b'{"type":"file","mediaType":"image/png","data":"cG5n"}'),
        (
            File("image/*", url="https://x/y", name="y"),
            b'{"type":"file","mediaType":"image/*","url":"https://x/y","name":"y"}',
        ),
        (File("a/b", blob="r/d"), b'{"type":"file","mediaType":"a/b","blob":"r/d"}'),
    ],
)
def test_parts_as_json(part: Text | File, data: bytes) -> None:
    assert msgspec.json.encode(part) == data
    assert msgspec.json.decode(data, type=Text | File) == part
