"""Files that a tool returned."""

from collections import namedtuple
from typing import Any

import attrs
import pytest

from trio_agent._content import File, Text
from trio_agent._errors import ToolError
from trio_agent.tools._files import MAX_BYTES, MAX_FILES, take_files

PNG = File("image/png", data=b"a")
PDF = File("application/pdf", url="https://h/x.pdf", name="x.pdf")


@pytest.mark.parametrize(
    ("value", "rest", "files"),
    [
        (PNG, "image/png", (PNG,)),
        (PDF, "x.pdf", (PDF,)),
        ([PNG], "image/png", (PNG,)),
        ([PNG, PDF], "image/png, x.pdf", (PNG, PDF)),
        ((PNG, "seen", Text("by me"), PDF), "seen\nby me", (PNG, PDF)),
        (["", PNG], "image/png", (PNG,)),
        ([PNG, PNG], "image/png, image/png", (PNG, PNG)),
        (File("Image/PNG", url="data:image/png;base64,YQ=="), "image/png", (PNG,)),
        (File("a/b", data=b"a", name="\ud800"), "?", (File("a/b", data=b"a", name="?"),)),
    ],
)
def test_files_are_taken(value: object, rest: str, files: tuple[File, ...]) -> None:
    assert take_files(value) == (rest, files)


@attrs.frozen
class Picture:
    file: File


@pytest.mark.parametrize(
    "value",
    ["a", None, [], ["a"], [Text("a")], {"file": PNG}, [PNG, 1], [[PNG]], Picture(PNG), {"a"}],
    ids=repr,
)
def test_what_is_no_list_of_files_stays_as_it_is(value: object) -> None:
    rest, files = take_files(value)
    assert (rest is value, files) == (True, ())


def test_tuples_with_names_are_tuples() -> None:
    pair: Any = namedtuple("pair", "text file")  # noqa: PYI024 - one that a user may have
    assert take_files(pair("a", PNG)) == ("a", (PNG,))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (File("a/b", blob="r/x"), "by its data or its url, not as a blob"),
        (File("a/b", data=b"a", blob="r/x"), "not as a blob"),
        (File("a/b"), "is none: a file has exactly one of"),
        (File("a/b", data=b"a", url="https://h"), "exactly one of"),
        (["a", File("png", data=b"a")], "'png' is no media type"),
        (File("text/html\r\nx: y", data=b"a"), "is no media type"),
        (File("image/*", data=b"a"), "is for files by their URL"),
        (File("a/b", url="file:///etc/passwd"), "begins with https://"),
        (File("a/b", url="data:;base64,!"), "no base64 in it"),
        (File("a/b", data="text"), "is bytes, not str"),  # type: ignore[arg-type]
        ([PNG] * 2000, f"returned 2000 files, {MAX_FILES} are allowed"),
        (File("a/b", data=b"a" * (MAX_BYTES + 1)), f"{MAX_BYTES + 1} bytes together, {MAX_BYTES}"),
        ([File("a/b", data=b"a" * (MAX_BYTES // 2))] * 3, "4 MiB"),
        (File("a/b", url="https://h/" + "x" * MAX_BYTES), "4 MiB"),
        (File("a/b", data=b"a", name="x" * MAX_BYTES), "4 MiB"),
        (File("a/b", url="data:;base64," + "AAAA" * (MAX_BYTES // 3 + 1)), "4 MiB"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_is_no_file(value: object, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        take_files(value)


def test_as_much_as_may_be() -> None:
    half = File("a/b", data=b"a" * (MAX_BYTES // 2))
    assert take_files([half, half])[1] == (half, half)
    assert take_files([PNG] * MAX_FILES)[1] == (PNG,) * MAX_FILES
