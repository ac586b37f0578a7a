"""What is kept beside logs in Valkey: its fields, and how files are cut."""

from collections.abc import Mapping, Sequence

import pytest

from trio_agent._errors import UnknownBlob
from trio_agent._log.log import PAGE_BYTES
from trio_agent.stores.valkey import _beside as beside
from trio_agent.stores.valkey._keys import Keys

RUN = Keys("x").of_run("r")
MIB = PAGE_BYTES


def filled(blobs: Mapping[str, int]) -> list[dict[str | bytes, int]]:
    """What each call adds for files of these sizes: fields and the sizes of their values."""
    calls = list(beside.fill(RUN, "token", "9", {digest: bytes(n) for digest, n in blobs.items()}))
    assert all(call.keys == [RUN.draft, RUN.run] for call in calls)
    assert all(call.arguments[:2] == ["token", "9"] for call in calls)
    return [
        dict(zip(call.arguments[2::2], map(len, call.arguments[3::2]), strict=True))
        for call in calls
    ]


@pytest.mark.parametrize(
    ("blobs", "calls"),
    [
        ({}, []),
        ({"a": 0}, [{"blob:a": 0}]),
        ({"a": 1, "b": 2}, [{"blob:a": 1, "blob:b": 2}]),
        ({"a": MIB}, [{"blob:a": MIB}]),
        ({"a": MIB, "b": 0}, [{"blob:a": MIB, "blob:b": 0}]),
        ({"a": 1, "b": MIB}, [{"blob:a": 1}, {"blob:b": MIB}]),
        (
            {"a": 2 * MIB + 1, "b": 2},
            [{"blob:a": MIB}, {"blob1:a": MIB}, {"blob2:a": 1, "blob:b": 2}],
        ),
    ],
)
def test_files_are_cut(blobs: Mapping[str, int], calls: Sequence[Mapping[str, int]]) -> None:
    assert filled(blobs) == calls


def test_fields_of_what_is_private() -> None:
    fields = list(beside.private_fields({0: b"a", 7: b"b"}))
    assert fields == ["private", b"a", "private:7", b"b"]
    call = beside.read_private(RUN, [0, 7])
    assert call.arguments == [str(PAGE_BYTES), "private", "private:7"]
    assert list(call.keys) == [RUN.run, RUN.gone]


def test_the_next_piece() -> None:
    assert [beside.read_piece(RUN, "f0", n).arguments for n in (0, 1)] == [
        ["blob:f0", "blob1:f0"],
        ["blob1:f0", "blob2:f0"],
    ]
    assert beside.as_piece("r", "f0", [b"", 1]) == (b"", True)
    with pytest.raises(UnknownBlob):
        beside.as_piece("r", "f0", [None, 0])
