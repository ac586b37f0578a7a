"""Media types of names and URLs."""

import pytest

from trio_agent.servers._shared.media_types import by_name, by_url


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cat.png", "image/png"),
        ("CAT.JPG", "image/jpeg"),
        ("a/b.c/letter.pdf", "application/pdf"),
        ("notes.tar.md", "text/markdown"),
        ("cat", None),
        (".png", None),
        ("cat.exe", None),
        ("", None),
        (None, None),
    ],
)
def test_by_name(name: str | None, found: str | None) -> None:
    assert by_name(name) == found


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://example.com/cat.png", "image/png"),
        ("https://example.com/cat.png?size=2#x", "image/png"),
        ("https://example.com/c%61t%2Ewebp", "image/webp"),
        ("https://example.com/show?file=cat.png", None),
        ("https://example.com", None),
        ("https://[broken/cat.png", None),
        ("data:image/gif;base64,AAAA", "image/gif"),
        ("DATA:text/plain;charset=utf-8,hi", "text/plain"),
        ("data:,hi", None),
        ("data:;base64,AAAA", None),
    ],
)
def test_by_url(url: str, found: str | None) -> None:
    assert by_url(url) == found


def test_of_a_data_url_only_the_head_is_looked_at() -> None:
    assert by_url("data:" + "x" * 1000) == "x" * 295
