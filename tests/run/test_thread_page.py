"""Threads in lists, and what was said in them, a page at a time."""

from hashlib import sha256

import attrs
import msgspec
import pytest
from store_kit import record
from thread_kit import add_turn, turn

from trio_agent._content import File, Text
from trio_agent._errors import CursorExpired, UnknownThread
from trio_agent._events import ToolRequest
from trio_agent._log.log import PAGE_BYTES
from trio_agent._log.thread import ThreadCursor, ThreadInfo
from trio_agent._messages import AnyMessage, AssistantMessage, ToolMessage, UserMessage
from trio_agent._run.thread_page import Thread, cursor_text, read_cursor, read_turns, shown
from trio_agent.stores._memory import MemoryStore

PNG = File("image/png", data=b"PNG")
DIGEST = sha256(b"PNG").hexdigest()


def test_a_thread_as_it_is_shown() -> None:
    info = ThreadInfo("t", "me", "r", "s", 3, 50, 7)
    assert shown(info) == Thread("t", "r", "s", 3, 50, 7)
    assert msgspec.json.decode(msgspec.json.encode(shown(info))) == {
        "thread": "t",
        "head": "r",
        "active": "s",
        "turns": 3,
        "size": 50,
        "updatedAt": 7,
    }


@pytest.mark.parametrize("cursor", [(0, "t"), (1_700_000_000_000, "a.b"), (1, "."), (1, "é 1.2")])
def test_a_place_as_text(cursor: tuple[int, str]) -> None:
    assert read_cursor(cursor_text(ThreadCursor(*cursor))) == cursor


@pytest.mark.parametrize(
    "text",
    ["", "t", "1", "1.", ".t", "-1.t", "+1.t", " 1.t", "x.t", "1_0.t", "٣.t", "9" * 19 + ".t"],
)
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(ValueError, match=r"^before is what the page of threads before it says$"):
        read_cursor(text)


async def test_pages_go_back_from_the_newest_turn() -> None:
    store = MemoryStore()
    follows = None
    for number in range(250):
        await add_turn(store, f"{number}", *turn(f"q{number}", f"a{number}"), follows=follows)
        follows = f"{number}"
    pages: list[tuple[AnyMessage, ...]] = []
    last = None
    while True:
        page = await read_turns(store, None, "t", last)
        pages.insert(0, page.messages)
        if (last := page.next) is None:
            break
    assert [len(page) for page in pages] == [100, 200, 200]
    said = [message for page in pages for message in page]
    assert said == [each for number in range(250) for each in turn(f"q{number}", f"a{number}")]


async def test_a_page_of_long_turns_is_short() -> None:
    store = MemoryStore()
    long = "x" * (PAGE_BYTES - 1000)
    await add_turn(store, "1", *turn("a", long))
    await add_turn(store, "2", *turn("b", long), follows="1")
    page = await read_turns(store, None, "t", None)
    assert (page.messages, page.next) == (turn("b", long), "1")
    page = await read_turns(store, None, "t", page.next)
    assert (page.messages, page.next) == (turn("a", long), None)


@pytest.mark.parametrize(
    ("last", "said"), [(None, "x1"), ("1", "1"), ("2", "21"), ("x", "x1")], ids=str
)
async def test_the_way_to_a_run(last: str | None, said: str) -> None:
    store = MemoryStore()
    for run_id, follows in (("1", None), ("2", "1"), ("x", "1")):
        await add_turn(store, run_id, UserMessage(run_id), follows=follows)
    page = await read_turns(store, None, "t", last)
    assert page.messages == tuple(map(UserMessage, reversed(said)))
    assert page.next is None


@pytest.mark.parametrize("last", ["", "9", "u1"])
async def test_a_run_that_has_said_nothing_there(last: str) -> None:
    store = MemoryStore()
    await add_turn(store, "1", UserMessage("a"))
    await add_turn(store, "u1", UserMessage("a"), thread="u")
    with pytest.raises(ValueError, match=f"^run '{last}' has no turn in the thread 't'"):
        await read_turns(store, None, "t", last)


async def test_a_thread_in_which_nothing_was_said_yet() -> None:
    store = MemoryStore()
    await store.create(record("1", thread="t"))
    page = await read_turns(store, None, "t", None)
    assert (page.messages, page.next) == ((), None)


@pytest.mark.parametrize("last", [None, "1"])
async def test_a_thread_of_somebody_else(last: str | None) -> None:
    store = MemoryStore()
    await add_turn(store, "1", UserMessage("a"), owner="me")
    for owner in (None, "", "you"):
        with pytest.raises(UnknownThread):
            await read_turns(store, owner, "t", last)


async def test_what_strangers_see() -> None:
    """Files go by their names, those of tools as they are. What providers want back is theirs."""
    store = MemoryStore()
    call = ToolRequest("1", "draw", {})
    said = [
        UserMessage((Text("what?"), PNG, File("image/png", url="https://h/"))),
        AssistantMessage("so", (call,), "hm", {"p": "secret"}),
        ToolMessage("1", "drawn", files=(PNG,)),
    ]
    await add_turn(store, "r", *said)
    page = await read_turns(store, None, "t", None)
    named = File("image/png", blob=f"r/{DIGEST}")
    assert page.messages == (
        UserMessage((Text("what?"), named, File("image/png", url="https://h/"))),
        AssistantMessage("so", (call,), "hm"),
        ToolMessage("1", "drawn", files=(PNG,)),
    )


async def test_an_end_that_is_gone_in_this_moment() -> None:
    """The thread was removed and begun anew between two looks at it."""

    class Anew(MemoryStore):
        async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
            info = await super().thread(owner, thread)
            return attrs.evolve(info, head="former")

    store = Anew()
    await add_turn(store, "r", UserMessage("hi"))
    with pytest.raises(CursorExpired, match="look again"):
        await read_turns(store, None, "t", None)
    with pytest.raises(ValueError, match="has no turn"):
        await read_turns(store, None, "t", "former")
