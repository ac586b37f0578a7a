"""What a run adds to its thread, and what was said before it."""

from collections.abc import Sequence
from typing import Any

import pytest
from store_kit import finish, record
from thread_kit import add_turn

from trio_agent._content import File, Text
from trio_agent._errors import LogDamaged, StoreUnavailable, TooLarge, UnknownRun, UnknownThread
from trio_agent._events import StepFinish, TextDelta, ToolRequest, Usage
from trio_agent._log.log import PAGE_BYTES, Append
from trio_agent._log.thread import Turn
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from trio_agent._run.transcript import Transcript
from trio_agent._run.turns import (
    decode_turn,
    encode_turn,
    history_left,
    no_turn,
    read_history,
)
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore

CALL = ToolRequest("1", "t", {"a": [1, 2.5, None]})
PNG = File("image/png", data=b"\x89PNG", name="a.png")


def transcript(*given: AnyMessage, before: int = 0, text: str = "a") -> Transcript:
    made = Transcript(given)
    made.before = before
    if text:
        made.add(TextDelta(at=0, delta=text))
        made.add(StepFinish(at=0, step_number=1, usage=Usage()))
    return made


@pytest.mark.parametrize(
    "given",
    [
        [UserMessage("hi")],
        [UserMessage((Text("what?"), PNG, File("image/png", url="https://h/")))],
        [SystemMessage("be brief"), UserMessage("hi")],
        [AssistantMessage("b", (CALL,), "hm", {"p": ["s"]}), ToolMessage("1", "x", "error")],
        [AssistantMessage("b", (CALL,)), ToolMessage("1", "x", files=(PNG,))],
        [UserMessage("a\u2028\n\x85é\U0001f600")],
    ],
)
def test_what_is_read_back_is_what_was_said(given: Sequence[AnyMessage]) -> None:
    data = encode_turn(transcript(*given))
    assert decode_turn("t", Turn("r", None, data)) == (*given, AssistantMessage("a"))


def test_what_was_said_before_is_no_part_of_it() -> None:
    before = [UserMessage("a"), AssistantMessage("b")]
    data = encode_turn(transcript(*before, UserMessage("hi"), before=2))
    assert decode_turn("t", Turn("r", None, data)) == (UserMessage("hi"), AssistantMessage("a"))


@pytest.mark.parametrize("given", [[UserMessage("hi")], [UserMessage("hi"), AssistantMessage("x")]])
def test_without_a_word_of_its_model_a_run_adds_nothing(given: Sequence[AnyMessage]) -> None:
    assert encode_turn(transcript(*given, text="")) == b""


def test_half_a_surrogate_pair_of_a_model_does_not_keep_a_run_from_its_end() -> None:
    data = encode_turn(transcript(UserMessage("hi"), text="a\ud83d"))
    assert decode_turn("t", Turn("r", None, data))[-1] == AssistantMessage("a?")


@pytest.mark.parametrize(
    "data", [b"", b"{", b"{}", b"[1]", b'[{"role":"x"}]', b'["\xff"]', b"[" * 9999]
)
def test_a_damaged_turn(data: bytes) -> None:
    with pytest.raises(LogDamaged, match=r"^what run 'r' said in 't' can't be read$"):
        decode_turn("t", Turn("r", None, data))


def test_the_error_of_a_run_that_nothing_can_follow() -> None:
    assert str(no_turn("t", "r")) == (
        "run 'r' has no turn in the thread 't': it is of another, or said nothing"
    )


async def three(size: int = 1) -> MemoryStore:
    """A thread of three turns, and one beside the third."""
    store = MemoryStore()
    for run_id, follows in (("1", None), ("2", "1"), ("3", "2"), ("x", "1")):
        said = UserMessage(run_id), AssistantMessage("a" * size)
        await add_turn(store, run_id, *said, follows=follows)
    return store


def told(said: Sequence[Any]) -> list[str]:
    return [message.content for message in said if isinstance(message, UserMessage)]


@pytest.mark.parametrize("size", [1, PAGE_BYTES // 2, PAGE_BYTES + 1])
@pytest.mark.parametrize(
    ("follows", "said"),
    [(None, []), ("1", ["1"]), ("2", ["1", "2"]), ("3", ["1", "2", "3"]), ("x", ["1", "x"])],
)
async def test_the_way_to_a_turn(follows: str | None, said: list[str], size: int) -> None:
    """The oldest first, however many pages it takes."""
    store = await three(size)
    made = record("r", thread="t", follows=follows)
    assert told(await read_history(store, made)) == said
    assert told(await history_left(store, made)) == said


async def test_a_run_in_no_thread_comes_behind_nothing() -> None:
    store = FaultyStore(await three())
    assert await read_history(store, record("r", follows="1")) == ()
    assert not store.calls


async def test_more_than_is_read_at_most() -> None:
    store = FaultyStore(await three(PAGE_BYTES))
    made = record("r", thread="t", follows="3")
    size = (await store.thread(None, "t")).size * 3 // 4
    assert told(await read_history(store, made, size)) == ["1", "2", "3"]
    with pytest.raises(TooLarge, match=f"in the thread 't' has more than {size - 1} "):
        await read_history(store, made, size - 1)
    store.calls.clear()
    with pytest.raises(TooLarge, match=r"begin another thread$"):
        await read_history(store, made, 0)
    assert store.calls["turns"] == 1, "nothing more is read than shows it"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"thread": "u"}, UnknownThread),
        ({"owner": "me"}, UnknownThread),
        ({"follows": "9"}, UnknownRun),
    ],
)
async def test_what_is_not_there(changes: dict[str, Any], error: type[Exception]) -> None:
    store = await three()
    made = record("r", **{"thread": "t", "follows": "3", **changes})
    with pytest.raises(error):
        await read_history(store, made)
    assert await history_left(store, made) == ()


async def test_what_can_not_be_read_is_told_by_both() -> None:
    store = await three()
    await store.create(record("4", thread="t", follows="3", head="x"))
    await store.append([Append("4", 1, finish("4", 1).entries, turn=b"no JSON")])
    for read in (read_history, history_left):
        with pytest.raises(LogDamaged, match="what run '4' said"):
            await read(store, record("r", thread="t", follows="4"))
    away = FaultyStore(store)
    away.away.add("turns")
    for read in (read_history, history_left):
        with pytest.raises(StoreUnavailable):
            await read(away, record("r", thread="t", follows="3"))
