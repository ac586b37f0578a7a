"""Parts of contents, as OpenAI's two APIs, others and we write them."""

import base64
import re
from typing import Any

import msgspec
import pytest

from trio_agent import File, Text
from trio_agent.servers._shared.content import AnyContent, content_of, text_of
from trio_agent.servers._shared.problem import Problem

DATA = base64.b64encode(b"abc").decode()
URL = f"data:image/png;base64,{DATA}"
CAT = "https://example.com/cat"
BLOB = "r/" + "a" * 64
PNG = File("image/png", data=b"abc")


def read(content: Any) -> AnyContent:
    return msgspec.convert(content, AnyContent)


@pytest.mark.parametrize(
    ("part", "meant"),
    [
        # ours
        ({"type": "file", "mediaType": "image/png", "data": DATA}, PNG),
        ({"type": "file", "mediaType": "image/png", "data": f"{DATA[:2]}\n{DATA[2:]}\n"}, PNG),
        ({"type": "file", "mediaType": "image/png", "url": CAT}, File("image/png", url=CAT)),
        ({"type": "file", "mediaType": "image/png", "url": URL}, File("image/png", url=URL)),
        ({"type": "file", "mediaType": "image/png", "blob": BLOB}, File("image/png", blob=BLOB)),
        (
            {"type": "file", "url": CAT + ".pdf", "name": "a cat"},
            File("application/pdf", url=CAT + ".pdf", name="a cat"),
        ),
        (
            {"type": "file", "data": DATA, "name": "a.png"},
            File("image/png", data=b"abc", name="a.png"),
        ),
        # as Chat Completions has it
        ({"type": "image_url", "image_url": {"url": CAT}}, File("image/*", url=CAT)),
        (
            {"type": "image_url", "image_url": {"url": CAT, "detail": "low"}},
            File("image/*", url=CAT),
        ),
        ({"type": "image_url", "image_url": CAT}, File("image/*", url=CAT)),
        (
            {"type": "image_url", "image_url": {"url": CAT + ".png"}},
            File("image/png", url=CAT + ".png"),
        ),
        ({"type": "image_url", "image_url": {"url": URL}}, File("image/png", url=URL)),
        (
            {"type": "input_audio", "input_audio": {"data": DATA, "format": "mp3"}},
            File("audio/mpeg", data=b"abc"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
            File("audio/wav", data=b"abc"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": DATA}},
            File("application/pdf", data=b"abc", name="a.pdf"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": URL}},
            File("image/png", url=URL, name="a.pdf"),
        ),
        # as Responses has it
        ({"type": "input_image", "image_url": CAT, "detail": "auto"}, File("image/*", url=CAT)),
        ({"type": "input_image", "image_url": URL, "file_id": None}, File("image/png", url=URL)),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": f"data:;base64,{DATA}"},
            File("application/pdf", url=f"data:;base64,{DATA}", name="a.pdf"),
        ),
        (
            {"type": "input_file", "file_url": CAT + ".pdf"},
            File("application/pdf", url=CAT + ".pdf"),
        ),
        # as Messages has it
        (
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": DATA},
            },
            PNG,
        ),
        ({"type": "image", "source": {"type": "url", "url": CAT}}, File("image/*", url=CAT)),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": DATA},
                "title": "x",
            },
            File("application/pdf", data=b"abc"),
        ),
        ({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}, "hi"),
        ({"type": "input_text", "text": "hi"}, "hi"),
    ],
    ids=repr,
)
def test_one_part(part: dict[str, Any], meant: File | str) -> None:
    expected = meant if isinstance(meant, str) else (meant,)
    assert content_of(read([part]), "$") == expected


def test_parts_stay_in_their_order() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": URL}]
    parts += [{"type": "input_text", "text": "b"}]
    assert content_of(read(parts), "$") == (Text("a"), File("image/png", url=URL), Text("b"))
    assert content_of(read("a"), "$") == "a"
    assert content_of(read([]), "$") == ()  # which the runtime refuses


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "a text, or a list of parts - at `$`"),
        ([{"type": "video"}], "file, .*not 'video' - at `$[0].type`"),
        ([{"type": "text"}], "has a text - at `$[0]`"),
        ([{"type": "text", "text": "a"}, {"type": "file", "mediaType": "a/b"}], "at `$[1]`"),
        (
            [{"type": "file", "mediaType": "a/b", "url": CAT, "data": DATA}],
            "exactly one of url, data",
        ),
        ([{"type": "image_url", "image_url": CAT, "url": CAT}], "exactly one"),
        ([{"type": "file", "data": DATA}], "give mediaType, like image/png - at `$[0]`"),
        ([{"type": "file", "url": CAT}], "give mediaType"),
        ([{"type": "input_image", "image_url": f"data:;base64,{DATA}"}], "give mediaType"),
        ([{"type": "input_image", "file_id": "file-1"}], "give its url or its data"),
        ([{"type": "file", "file": {"file_id": "file-1"}}], "give its url or its data"),
        ([{"type": "image", "source": {"file_id": "file-1"}}], "give its url or its data"),
        (
            [{"type": "file", "mediaType": "a/b", "data": "*"}],
            "is base64, or a data: URL - at `$[0]`",
        ),
        ([{"type": "file", "mediaType": "a/b", "data": "\u00e9"}], "is base64"),
        ([{"type": "file", "mediaType": "a/b", "data": "abc"}], "is base64"),
    ],
    ids=repr,
)
def test_what_can_not_be_meant(content: Any, said: str) -> None:
    with pytest.raises(Problem) as caught:
        content_of(read(content), "$")
    assert (caught.value.status, caught.value.code) == (400, "bad-request")
    assert re.search(said.replace("$", r"\$").replace("[", r"\["), caught.value.message)
    assert DATA not in caught.value.message


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("a", "a"),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}], "ab"),
        ([{"type": "refusal", "refusal": "no"}], "no"),
    ],
    ids=repr,
)
def test_texts(content: Any, text: str) -> None:
    assert text_of(read(content), "$") == text


@pytest.mark.parametrize(
    "part", [{"type": "image_url", "image_url": CAT}, {"type": "refusal"}, {"type": "text"}]
)
def test_only_texts(part: dict[str, str]) -> None:
    with pytest.raises(Problem, match=r"only texts .* - at `\$\[1\]`"):
        text_of(read([{"type": "text", "text": "a"}, part]), "$")
