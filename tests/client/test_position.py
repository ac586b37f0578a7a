"""The next event, and nothing else."""

import pytest
from client_kit import END, EVENT, STREAM, receive_all
from proxy_kit import canned

from trio_agent.client import ServerError
from trio_agent.client._position import Position


@pytest.mark.parametrize(
    ("after", "cursors"),
    [
        ("", ["r.e.1", "r.e.2", "r.e.3"]),
        ("0", ["r.e.1"]),
        ("r.e.9", ["r.e.10", "r.e.11"]),
        ("what the server will refuse", ["r.e.7", "r.e.8"]),
    ],
)
def test_what_follows(after: str, cursors: list[str]) -> None:
    position = Position("r", after)
    for cursor in cursors:
        position.move(cursor)


@pytest.mark.parametrize(
    ("after", "cursors"),
    [
        ("", ["r.e.2"]),  # begins late
        ("", ["r.e.1", "r.e.3"]),  # a gap
        ("", ["r.e.1", "r.e.1"]),  # once more
        ("r.e.5", ["r.e.5"]),
        ("r.e.5", ["r.e.1"]),  # back
        ("", ["r.e.1", "r.f.2"]),  # another epoch
        ("r.e.5", ["r.f.6"]),
        ("", ["s.e.1"]),  # another run
        ("", ["r.e.1", "s.e.2"]),
        ("", [""]),  # none
        ("", ["\x1b[2J"]),
        ("what the server will refuse", ["garbage"]),
    ],
)
def test_what_does_not(after: str, cursors: list[str]) -> None:
    position = Position("r", after)
    for cursor in cursors[:-1]:
        position.move(cursor)
    with pytest.raises(ServerError, match=r"bad-response: event .* came where") as caught:
        position.move(cursors[-1])
    assert str(caught.value).isprintable()


async def test_a_server_that_repeats_behind_a_cut_is_not_believed() -> None:
    async with canned(STREAM + EVENT % (b"a", 1), STREAM + EVENT % (b"a", 1) + END % 2) as (url, _):
        with pytest.raises(ServerError, match=r"bad-response"):
            await receive_all(url)
