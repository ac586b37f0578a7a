"""Where people put what they tell a run; and what they hear back."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from runtime_kit import logged
from store_kit import deltas, finish, record
from wait_kit import LastingStore, asking, asleep, of, outcomes, picking

from trio_agent._errors import (
    AnswerRefused,
    CursorExpired,
    LimitExceeded,
    RunOver,
    StoreUnavailable,
    UnknownRun,
)
from trio_agent._events import (
    AnyEvent,
    ToolAnswered,
    ToolAsked,
    ToolName,
    ToolRequest,
    UserSaid,
    Wants,
)
from trio_agent._log.feed import Feed
from trio_agent._log.log import Append, Entry
from trio_agent._messages import File, Text
from trio_agent._run.items import Answer, Said, decode_item
from trio_agent._run.postbox import Postbox
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore


@attrs.define
class Box:
    """A run in a store, of which the test is the worker."""

    store: FaultyStore
    feed: Feed
    woken: list[str] = attrs.field(factory=list)

    @property
    def postbox(self) -> Postbox:
        return Postbox(self.store, self.woken.append)

    async def log(self, *events: AnyEvent) -> None:
        tail = self.feed.tail
        entries = [Entry.of(tail + n, event) for n, event in enumerate(events, 1)]
        await self.store.append([Append("r", 1, entries)])
        self.feed.extend(entries)

    async def take(self) -> None:
        """Make events of what has come."""
        for delivery in await self.store.inbox("r", 0, 99):
            match decode_item(delivery.data):
                case Answer(call_id=call_id, approved=approved):
                    name = ToolName(call_id, "t")
                    await self.log(ToolAnswered(at=0, tool=name, approved=approved))
                case Said(content=content):
                    await self.log(UserSaid(at=0, content=content))

    async def end(self) -> None:
        [end] = finish("r", self.feed.tail + 1).entries
        await self.store.append([Append("r", 1, [end])])
        self.feed.extend([end])


def asked(kind: Wants = "approval", call_id: str = "1") -> ToolAsked:
    return ToolAsked(at=0, tool=ToolRequest(call_id, "t", {"n": 5}), kind=kind, deadline=None)


async def box(*events: AnyEvent) -> Box:
    store = FaultyStore(MemoryStore())
    await store.create(record("r"))
    made = Box(store, Feed("r", "e"))
    if events:
        await made.log(*events)
    return made


YES = Answer("1", approved=True)


async def test_an_answer_is_given_when_it_is_in_the_log() -> None:
    b = await box(asked())
    done: list[bool] = []

    async def answer() -> None:
        with trio.testing.assert_checkpoints():
            await b.postbox.answer(b.feed, YES)
        done.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        await trio.testing.wait_all_tasks_blocked()
        assert (b.woken, done) == (["r"], [])
        assert b.feed.in_use  # So that it grows, wherever it is worked on.
        await b.log(UserSaid(at=0, content="something else"))
        await trio.testing.wait_all_tasks_blocked()
        assert done == []
        await b.take()
    assert done == [True]
    assert not b.feed.in_use


@pytest.mark.parametrize(
    ("events", "answer", "shown", "error", "why"),
    [
        ([], YES, {}, AnswerRefused, "no call '1' waits for an answer"),
        ([asked()], Answer("2", True), {}, AnswerRefused, "no call '2' waits for an answer"),
        ([asked()], YES, {"shown": {"n": 6}}, AnswerRefused, "the call has other arguments than"),
        ([asked()], YES, {"shown": None}, AnswerRefused, "the call has other arguments than"),
        ([asked()], Answer("1", True, 5), {}, ValueError, "its output comes from its tool"),
        ([asked("input")], YES, {}, ValueError, "waits for its output: give one, or deny it"),
    ],
)
async def test_what_is_no_answer(
    events: list[AnyEvent],
    answer: Answer,
    shown: dict[str, Any],
    error: type[Exception],
    why: str,
) -> None:
    b = await box(*events)
    with pytest.raises(error, match=why):
        await b.postbox.answer(b.feed, answer, **shown)
    assert await b.store.inbox("r", 0, 9) == []
    assert b.woken == []


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("approval", YES),
        ("approval", Answer("1", False, reason="no")),
        ("input", Answer("1", True, None)),
        ("input", Answer("1", True, {"a": 1})),
        ("input", Answer("1", False)),
    ],
)
async def test_what_is_one(kind: Wants, answer: Answer) -> None:
    b = await box(asked(kind))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(b.postbox.answer, b.feed, answer, {"n": 5})
        await trio.testing.wait_all_tasks_blocked()
        await b.take()
    [delivery] = await b.store.inbox("r", 0, 9)
    assert decode_item(delivery.data) == answer


async def test_the_first_of_two_counts() -> None:
    b = await box(asked())
    ends: list[str] = []

    async def answer(by: str, **more: Any) -> None:
        try:
            await b.postbox.answer(b.feed, Answer("1", by=by, **more))
        except AnswerRefused as exc:
            ends.append(f"{by}: {exc}")
        else:
            ends.append(by)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: answer("ann", approved=True))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lambda: answer("bob", approved=False))
        nursery.start_soon(lambda: answer("ann", approved=True))
        await trio.testing.wait_all_tasks_blocked()
        assert ends == ["bob: the call '1' was answered already"]
        await b.take()
    await answer("ann", approved=True)  # The same again is none too many, then as well.
    assert ends[1:] == ["ann"] * 3
    assert len(await b.store.inbox("r", 0, 9)) == 1


@pytest.mark.parametrize("what", ["answer", "say"])
async def test_behind_the_end_nothing_is_taken(what: str) -> None:
    b = await box(asked())
    await b.end()
    with pytest.raises(RunOver):
        await (
            b.postbox.answer(b.feed, YES)
            if what == "answer"
            else b.postbox.say(b.feed, Said("x"), None)
        )
    assert await b.store.inbox("r", 0, 9) == []


@pytest.mark.parametrize("what", ["answer", "say"])
async def test_the_end_came_first(what: str) -> None:
    """It was delivered, and nobody took it: who gave it is told."""
    b = await box(asked())
    refused: list[str] = []

    async def tell() -> None:
        with pytest.raises(RunOver):
            await (
                b.postbox.answer(b.feed, YES)
                if what == "answer"
                else b.postbox.say(b.feed, Said("x"), None)
            )
        refused.append(what)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell)
        await trio.testing.wait_all_tasks_blocked()
        assert len(await b.store.inbox("r", 0, 9)) == 1
        await b.end()
    assert refused == [what]


async def test_what_was_said_is_known_by_its_number() -> None:
    """Of those who say the same each waits for the own event."""
    b = await box()
    done: list[int] = []

    async def say(number: int) -> None:
        await b.postbox.say(b.feed, Said("x"), None)
        done.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(say, number)
            await trio.testing.wait_all_tasks_blocked()
        for number in range(3):
            assert done == list(range(number))
            await b.log(UserSaid(at=0, content="x"))
            await trio.testing.wait_all_tasks_blocked()
    assert done == [0, 1, 2]


async def test_a_number_may_be_on_a_later_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent._run.postbox._PAGE", 2)
    b = await box(*[asked(call_id=str(n)) for n in range(5)])
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(b.postbox.say, b.feed, Said(str(number)), None)
        await trio.testing.wait_all_tasks_blocked()
        await b.take()


async def test_a_key_is_for_one_message() -> None:
    b = await box()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(b.postbox.say, b.feed, Said("x"), "k")
        nursery.start_soon(b.postbox.say, b.feed, Said("x"), "k")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(AnswerRefused, match="something else was said with this key"):
            await b.postbox.say(b.feed, Said("y"), "k")
        await b.take()
    await b.postbox.say(b.feed, Said("x"), "k")
    assert len(await b.store.inbox("r", 0, 9)) == 1


async def test_a_repetition_behind_the_end_was_taken_before_it() -> None:
    b = await box()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(b.postbox.say, b.feed, Said("x"), "k")
        await trio.testing.wait_all_tasks_blocked()
        await b.take()
    await b.end()
    await b.postbox.say(b.feed, Said("x"), "k")


async def test_an_inbox_may_be_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent._log.inbox.INBOX_ITEMS", 0)
    b = await box()
    with pytest.raises(LimitExceeded):
        await b.postbox.say(b.feed, Said("x"), None)


@pytest.mark.parametrize("operation", ["deliver", "read", "inbox"])
async def test_a_store_that_is_away(operation: str) -> None:
    b = await box(asked())
    b.store.away.add(operation)
    with pytest.raises(StoreUnavailable):
        await b.postbox.say(b.feed, Said("x"), None)


async def test_a_feed_that_breaks_off() -> None:
    b = await box(asked())
    failures: list[BaseException] = []

    async def answer() -> None:
        with pytest.raises(CursorExpired) as caught:
            await b.postbox.answer(b.feed, YES)
        failures.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        await trio.testing.wait_all_tasks_blocked()
        b.feed.break_off(CursorExpired("removed"))
    assert len(failures) == 1


async def test_there_is_no_such_run() -> None:
    postbox = Postbox(MemoryStore(), lambda _: None)
    with pytest.raises(UnknownRun):
        await postbox.answer(Feed("r", "e"), YES)
    with pytest.raises(UnknownRun):
        await postbox.say(Feed("r", "e"), Said("x"), None)


async def test_most_of_a_log_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be a million words, and one who answers."""
    b = await box(asked())
    [words] = [deltas("r", 2, 1000)]
    await b.store.append([words])
    decoded: list[bytes] = []
    get: Callable[[Entry], Any] = Entry.event.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(
        Entry, "event", property(lambda entry: decoded.append(entry.data) or get(entry))
    )
    with pytest.raises(AnswerRefused):
        await b.postbox.answer(b.feed, Answer("2", True))
    assert len(decoded) == 1


# With a worker


async def test_two_answer_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Each order: one wins, and the other is told so."""
    for first in (True, False):
        async with open_runtime() as runtime:
            run = await runtime.start(asking(), "hi")
            await asleep(run)
            ends: list[tuple[bool, bool]] = []

            async def answer(run: Any, ends: list[Any], approved: bool) -> None:
                try:
                    await run.answer("1", approved=approved, by=str(approved))
                except AnswerRefused:
                    ends.append((approved, False))
                else:
                    ends.append((approved, True))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer, run, ends, first)
                nursery.start_soon(answer, run, ends, not first)
            await run.wait()
            events = await logged(runtime.store, run.id)
        [answered] = of(ToolAnswered, events)
        assert sorted(ends) == sorted([(answered.approved, True), (not answered.approved, False)])
        assert answered.by == str(answered.approved)
        [(_, status, _, _)] = outcomes(events)
        assert status == ("ok" if answered.approved else "error")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, "say approved=True or approved=False, or give the output"),
        ({"approved": False, "output": 1}, "a call that is not made has no output"),
        ({"output": object()}, "the output has a object"),
        ({"output": {"n": float("nan")}}, "the output has the number nan"),
        ({"approved": True, "reason": "\ud83d"}, "the reason has half"),
        ({"approved": True, "by": "\ud83d"}, "the principal has half"),
    ],
)
async def test_answers_that_say_nothing(
    more: dict[str, Any], why: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(picking(), "hi")
        await asleep(run)
        with pytest.raises(ValueError, match=why):
            await run.answer("1", **more)
        assert run.status == "waiting"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "say something"),
        ((), "say something"),
        ((File("a/b", data=b"x"),), "go by their URLs"),
        ((Text("x"), File("a/b", blob=f"{0:032}/{0:064}")), "go by their URLs"),
        ("\ud83d", "the message has half"),
        ((File("a/b", url="https://h/"), Text("\ud83d")), "the message has half"),
    ],
)
async def test_what_can_not_be_said(
    content: Any, why: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(asking(), "hi")
        await asleep(run)
        with pytest.raises(ValueError, match=why):
            await run.say(content)


@pytest.mark.parametrize(
    ("more", "why"), [({"by": "\ud83d"}, "the principal has"), ({"key": "\ud83d"}, "the key has")]
)
async def test_what_is_said_with_it_is_text(
    more: dict[str, Any], why: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(asking(), "hi")
        await asleep(run)
        with pytest.raises(ValueError, match=why):
            await run.say("x", **more)


async def test_arguments_are_those_of_the_log(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(asking(), "hi")
        await asleep(run)
        with pytest.raises(AnswerRefused):
            await run.answer("1", approved=True, arguments={"amount": 6})
        await run.answer("1", approved=True, arguments={"amount": 5})
        assert (await run.wait()).text == "done"
        await run.answer("1", approved=True)  # It is repeated by who did not hear of it.
        for call_id, approved in (("1", False), ("2", True)):
            with pytest.raises(RunOver):
                await run.answer(call_id, approved=approved)


async def test_answered_from_another_server(autojump_clock: trio.testing.MockClock) -> None:
    """It is taken where the run's agent is known, and told where it was given."""
    store = LastingStore(shared=True)
    agent = asking()
    async with open_runtime(store=store, agents=[agent]) as here:
        run = await here.start(agent, "hi")
        await asleep(run)
        async with open_runtime(store=store) as there:
            found = await there.find(run.id)
            assert found.status == "waiting"
            await found.answer("1", approved=True, by="ann")
            assert (await found.wait()).text == "done"
        assert (await run.wait()).text == "done"


async def test_nobody_is_there_who_takes_it(autojump_clock: trio.testing.MockClock) -> None:
    """Cancelling the wait does not undo the answer."""
    store = LastingStore()
    agent = asking()
    async with open_runtime(store=store, agents=[agent]) as runtime:
        run = await runtime.start(agent, "hi")
        await asleep(run)
    postbox = Postbox(store, lambda _: None)
    info = await store.info(run.id)
    feed = Feed(run.id, info.record.epoch, tail=info.tail)
    with trio.move_on_after(60) as scope:
        await postbox.answer(feed, YES)
    assert scope.cancelled_caught
    async with open_runtime(store=store, agents=[agent]) as runtime:
        assert (await (await runtime.find(run.id)).wait()).text == "done"
