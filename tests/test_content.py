"""Contents: what of them is text, what they are as JSON, and the form in which files are kept."""

import msgspec
import pytest

from trio_agent._content import Content, File, Text, checked_file, text_of

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


@pytest.mark.parametrize(
    ("file", "kept"),
    [
        (File("Image/PNG ; q=1", data=b"a"), File("image/png", data=b"a")),
        (File("a/b", url="data:image/png;base64,YQ=="), File("a/b", data=b"a")),
        (
            File("image/*", url="https://h/x", name="n"),
            File("image/*", url="https://h/x", name="n"),
        ),
        (File("a/b", blob="whatever"), File("a/b", blob="whatever")),
    ],
)
def test_a_form(file: File, kept: File) -> None:
    assert checked_file(file) == kept


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (File("png", data=b"a"), "^'png' is no media type, such as image/png"),
        (File("a/b"), "^a file has exactly one of url, data and blob"),
        (File("a/b", data=b"a", blob="x"), "exactly one"),
        (File("image/*", data=b"a"), "is for files by their URL"),
        (File("a/b", data=b""), "^a file is empty"),
        (File("a/b", url="data:;base64,Y"), "no base64 in it"),
        (File("a/b", url="javascript:alert(1)"), "begins with https://"),
    ],
)
def test_no_form(file: File, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked_file(file)
