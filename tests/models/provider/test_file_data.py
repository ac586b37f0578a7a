"""Files as JSON can hold them."""

from trio_agent._errors import ModelError
from trio_agent._messages import File, Text
from trio_agent.models._provider._file_data import data_url, encode_shown, in_base64


def test_data() -> None:
    file = File("image/png", data=b"\xff\xfe?")
    assert in_base64(file) == "//4/"
    assert data_url(file) == "data:image/png;base64,//4/"


def test_what_can_not_be_shown_is_told() -> None:
    def encode(part: Text | File) -> str:
        if isinstance(part, Text):
            return part.text
        if part.media_type != "image/png":
            raise ModelError("bad-request", "no place")
        return "image"

    parts = (Text("a"), File("image/png", data=b"x"), File("a/b"), File("a/c", name="c.c"))
    assert list(encode_shown(parts, encode)) == [
        "a",
        "image",
        "[A file that you can't be shown: a/b]",
        "[A file that you can't be shown: 'c.c', a/c]",
    ]
