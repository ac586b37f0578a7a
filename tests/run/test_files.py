"""Files in messages: which are taken, where they are kept, and how they come back."""

from hashlib import sha256
from typing import Any

import pytest

from trio_agent._events import ToolRequest
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    File,
    Text,
    ToolMessage,
    UserMessage,
)
from trio_agent._run.files import (
    checked,
    files_of,
    nameless,
    put_in,
    set_apart,
    without_files,
)

DIGEST = sha256(b"a").hexdigest()


def said(*parts: Text | File) -> UserMessage:
    return UserMessage(parts)


@pytest.mark.parametrize(
    ("file", "taken"),
    [
        (File("image/png", data=b"a"), File("image/png", data=b"a")),
        (File("Image/PNG ; q=1", data=b"a"), File("image/png", data=b"a")),
        (File("image/svg+xml", url="HTTPS://h/x?y"), File("image/svg+xml", url="HTTPS://h/x?y")),
        (File("a/b", url="data:image/png;base64,YQ=="), File("a/b", data=b"a")),
        (File("a/b", url="DATA:;BASE64,Y%51\n=="), File("a/b", data=b"a")),
        (File("text/plain", url="data:,a%20b,c"), File("text/plain", data=b"a b,c")),
        (
            File("text/plain", url="data:text/plain;charset=utf-8,%C3%BC"),
            File("text/plain", data="ü".encode()),
        ),
        (File("a/b", blob=f"r/{DIGEST}"), File("a/b", blob=f"r/{DIGEST}")),
        (File("a/b", data=b"a", name="é.pdf"), File("a/b", data=b"a", name="é.pdf")),
    ],
)
def test_a_file_that_is_taken(file: File, taken: File) -> None:
    assert checked([said(Text("x"), file)]) == (said(Text("x"), taken),)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ((), "^a message has no content: give it"),
        ((File("image", data=b"a"),), "^'image' is no media type, such as image/png"),
        ((File("", url="https://h/"),), "is no media type"),
        ((File("a/b\r\nx: y", data=b"a"),), "is no media type"),
        ((File("a/b"),), "^a file has exactly one of url, data and blob"),
        ((File("a/b", url="https://h/", data=b"a"),), "exactly one"),
        ((File("a/b", data=b""),), "^a file is empty"),
        ((File("a/b", url="data:;base64,"),), "^a file is empty"),
        ((File("a/b", url="data:;base64,Y"),), "no base64 in it"),
        ((File("a/b", url="data:nothing"),), "begins with https://, http:// or data:"),
        ((File("a/b", url="file:///etc/passwd"),), "begins with https://"),
        ((File("a/b", url="/x.png"),), "begins with https://"),
        ((File("a/b", url="https://"),), "begins with https://"),
        ((File("a/b", url="https://[x"),), "begins with https://"),
        ((File("a/b", url="https://h/\n"),), "begins with https://"),
        ((File("a/b", blob=DIGEST),), "^the blob of a file is {run id}/{SHA-256}"),
        ((File("a/b", blob=f"../{DIGEST}"),), "^the blob of a file is"),
        ((File("a/b", blob=f"r/{DIGEST}/x"),), "^the blob of a file is"),
        ((File("a/b", blob="r/x"),), "^the blob of a file is"),
    ],
)
def test_a_file_that_is_not(parts: tuple[Any, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked([said(*parts)])


def test_other_messages_stay_as_they_are() -> None:
    messages: list[AnyMessage] = [UserMessage("x"), AssistantMessage("y"), said(Text("z"))]
    assert checked(messages) == tuple(messages)
    assert set_apart(messages, "r") == (tuple(messages), {})
    assert list(files_of(messages)) == []


def test_files_are_set_apart_by_what_they_are() -> None:
    url, data = File("a/b", url="https://h/"), File("a/b", data=b"a", name="n")
    other = File("c/d", data=b"a")
    stored, blobs = set_apart([said(url, data), said(other)], "r")
    assert blobs == {DIGEST: b"a"}
    blob = f"r/{DIGEST}"
    assert stored == (said(url, File("a/b", blob=blob, name="n")), said(File("c/d", blob=blob)))
    assert list(files_of(stored)) == [url, File("a/b", blob=blob, name="n"), File("c/d", blob=blob)]


async def test_files_are_put_in_again() -> None:
    messages = [said(Text("x"), File("a/b", data=b"a", name="n")), said(File("c/d", data=b"a"))]
    stored, blobs = set_apart(messages, "r")
    read: list[tuple[str, str]] = []

    async def read_blob(run_id: str, digest: str) -> bytes:
        read.append((run_id, digest))
        return blobs[digest]

    assert await put_in(stored, read_blob) == tuple(messages)
    assert read == [("r", DIGEST)], "each is read once"
    assert await put_in(messages, read_blob) == tuple(messages)
    assert len(read) == 1


def test_files_of_results_are_as_those_of_a_user() -> None:
    given = (
        ToolMessage("1", "x", files=(File("A/B", url="data:,a"), File("a/b", url="https://h/"))),
        ToolMessage("2", "y", "error"),
    )
    taken = checked(given)
    files = (File("a/b", data=b"a"), File("a/b", url="https://h/"))
    assert taken == (ToolMessage("1", "x", files=files), given[1])
    stored, blobs = set_apart(taken, "r")
    apart = File("a/b", blob=f"r/{DIGEST}")
    assert list(files_of(stored)) == [apart, files[1]]
    assert blobs == {DIGEST: b"a"}
    assert list(files_of(nameless(stored))) == [File("a/b", blob=f"/{DIGEST}"), files[1]]


async def test_files_of_results_are_put_in_again() -> None:
    async def read(run_id: str, digest: str) -> bytes:
        assert (run_id, digest) == ("r", DIGEST)
        return b"a"

    said = (ToolMessage("1", "x", files=(File("a/b", blob=f"r/{DIGEST}"),)),)
    assert await put_in(said, read) == (ToolMessage("1", "x", files=(File("a/b", data=b"a"),)),)


def test_it_is_told_which_file_of_a_result_is_none() -> None:
    result = ToolMessage("1", "x", files=(File("a/b", data=b"a"), File("a/b")))
    with pytest.raises(ValueError, match=r"one of .* at `\$\.messages\[1\]\.files\[1\]`$"):
        checked([UserMessage("x"), result])


def test_a_note_is_left_of_a_file_that_has_nothing_but_a_name() -> None:
    lost, here = File("a/b", blob=f"r/{DIGEST}"), File("a/b", data=b"x")
    link = File("a/b", url="https://h/")
    call = AssistantMessage("", (ToolRequest("1", "t", {}),))
    said = UserMessage("hi"), UserMessage((lost, here, link, Text("x"))), call
    said = (*said, ToolMessage("1", "x", files=(here, lost, link)))
    note = Text("(a file that is there no more)")
    left = UserMessage((note, here, link, Text("x"))), call
    assert without_files(said) == (
        UserMessage("hi"),
        *left,
        ToolMessage("1", "x", files=(here, link)),
    )
