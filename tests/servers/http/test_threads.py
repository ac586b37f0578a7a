"""Threads over real sockets: runs that are started in them, and what is told of them."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest
import trio
from server_kit import (
    ALICE,
    BOB,
    TOKENS,
    Answer,
    Forever,
    Server,
    StepModel,
    endless,
    open_server,
)
from till_kit import PAY, Till, asleep
from valkey_kit import running_server

from trio_agent import (
    Agent,
    AssistantMessage,
    MemoryStore,
    ModelError,
    Run,
    RuntimeLimits,
    SQLiteStore,
    UserMessage,
    ValkeyStore,
)
from trio_agent.abc import Store
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.testing import FaultyStore, ScriptedModel

SSE = {"Accept": "text/event-stream"}


async def post(server: Server, headers: Any = None, **body: Any) -> Answer:
    """Start a run in a thread, unless it is to be in none."""
    return await server.request("POST", "/runs", headers, {"prompt": "hi", "thread": "tea", **body})


async def began(server: Server, headers: Any = None, **body: Any) -> Run:
    answer = await post(server, headers, **body)
    assert answer.status == 201, answer.body
    return await server.runtime.find(answer.json["id"])


async def ended(server: Server, headers: Any = None, **body: Any) -> str:
    """Start a run, wait for its end, and return its id."""
    run = await began(server, headers, **body)
    await run.wait()
    return run.id


async def get(server: Server, path: str, headers: Any = None) -> Any:
    answer = await server.request("GET", path, headers)
    assert answer.status == 200, answer.body
    return answer.json


async def refusal(server: Server, method: str, path: str, headers: Any = None) -> tuple[int, str]:
    answer = await server.request(method, path, headers)
    return answer.status, answer.code


def said(*texts: str) -> list[Any]:
    """Messages of a user and a model in turn, as clients see them."""
    return [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(texts)
    ]


async def test_a_conversation() -> None:
    model = ScriptedModel(["A."], ["B."], ["C."])
    async with open_server(model) as server:
        first = await ended(server, prompt="a")
        second = await ended(server, prompt="b")
        await ended(server, prompt="c", thread=None)
        assert model.requests[1].messages == (
            UserMessage("a"),
            AssistantMessage("A."),
            UserMessage("b"),
        )
        assert model.requests[2].messages == (UserMessage("c"),)
        shown = await get(server, "/threads/tea")
        thread = await get(server, "/threads/tea?messages=0")
        assert thread == {
            "thread": "tea",
            "head": second,
            "active": None,
            "turns": 2,
            "size": thread["size"],
            "updatedAt": thread["updatedAt"],
        }
        by = [
            {"runId": first, "follows": None, "messages": 2},
            {"runId": second, "follows": first, "messages": 2},
        ]
        whole = {"messages": said("a", "A.", "b", "B."), "pageTurns": by, "next": None}
        assert shown == {**thread, **whole}
        earlier = await get(server, f"/threads/tea?last={first}")
        assert (earlier["messages"], earlier["head"]) == (said("a", "A."), second)
        assert earlier["pageTurns"] == by[:1]
        listed = await get(server, "/threads")
        assert listed == {"threads": [thread], "next": f"{thread['updatedAt']}.tea"}
        runs = (await get(server, "/runs?thread=tea"))["runs"]
        assert [(run["id"], run["thread"]) for run in runs] == [(second, "tea"), (first, "tea")]
        everything = (await get(server, "/runs"))["runs"]
        assert [run.get("thread") for run in everything] == [None, "tea", "tea"]
        assert [run.get("follows") for run in everything] == [None, first, None]
        assert (await get(server, f"/runs/{second}"))["follows"] == first
        assert (await get(server, f"/runs/{first}"))["thread"] == "tea"
        events = (await server.request("GET", f"/runs/{first}/events")).events
        assert events[0][1]["thread"] == "tea"

        answer = await server.request("DELETE", "/threads/tea")
        assert (answer.status, answer.body) == (204, b"")
        for method in ("GET", "DELETE"):
            assert await refusal(server, method, "/threads/tea") == (404, "unknown-thread")
        for run_id in (first, second):
            assert (await refusal(server, "GET", f"/runs/{run_id}"))[0] in (404, 410)
        assert len((await get(server, "/runs"))["runs"]) == 1


@pytest.mark.parametrize(
    ("after", "read"), [(None, ["a", "A.", "b", "B."]), (0, ["a", "A."]), ("", [])]
)
async def test_what_a_run_is_to_follow(after: Any, read: list[str]) -> None:
    model = ScriptedModel(["A."], ["B."], ["C."])
    async with open_server(model) as server:
        ids = [await ended(server, prompt=prompt) for prompt in "ab"]
        head = await ended(server, prompt="c", after=ids[0] if after == 0 else after)
        texts = [getattr(message, "content", None) for message in model.requests[2].messages]
        assert texts == [*read, "c"]
        shown = await get(server, "/threads/tea")
        assert (shown["head"], shown["turns"]) == (head, 3)
        assert shown["messages"] == said(*read, "c", "C.")
        ways = [turn["follows"] for turn in shown["pageTurns"]]
        assert ways == [None, *ids][: len(read) // 2 + 1]


@pytest.mark.parametrize(
    "name",
    [
        "a/b",
        "/",
        "//a//",
        "a/..b/.c",
        "...",
        "100%",
        "%",
        "a%2Fb",
        "%25",
        "München 茶 \N{HOT BEVERAGE}",
        "a b+c?d#e&f=g;h",
        '"\\',
        "messages",
        "x" * 256,
    ],
)
async def test_names_that_are_encoded(name: str) -> None:
    async with open_server(endless("x")) as server:
        other = await ended(server, thread="another")
        run_id = await ended(server, thread=name)
        path, query = f"/threads/{quote(name, safe='')}", quote(name, safe="")
        shown = await get(server, path)
        assert (shown["thread"], shown["head"]) == (name, run_id)
        assert (await get(server, f"{path}?last={run_id}"))["messages"] == said("hi", "x")
        assert [run["id"] for run in (await get(server, f"/runs?thread={query}"))["runs"]] == [
            run_id
        ]
        [first] = (await get(server, "/threads?limit=1"))["threads"]
        page = await get(server, f"/threads?limit=1&before={first['updatedAt']}.{query}")
        assert [thread["head"] for thread in page["threads"]] == [other]
        assert (await server.request("DELETE", path)).status == 204
        assert await refusal(server, "GET", path) == (404, "unknown-thread")


async def test_slashes_may_stand_as_they_are() -> None:
    async with open_server(endless("x")) as server:
        await ended(server, thread="a/b")
        assert (await get(server, "/threads/a/b"))["thread"] == "a/b"


@pytest.mark.parametrize(
    "fields",
    [
        {"thread": ""},
        {"thread": "."},
        {"thread": ".."},
        {"thread": "a/../b"},
        {"thread": "/."},
        {"thread": "x" * 257},
        {"thread": "a\nb"},
        {"thread": "a\0b"},
        {"thread": "\x85"},
        {"thread": "\N{LINE SEPARATOR}"},
        {"thread": "\ud800"},
        {"thread": 1},
        {"thread": ["tea"]},
        {"after": "nope"},
        {"after": "\ud800"},
        {"after": 7},
        {"onBusy": "queue"},
        {"onBusy": None},
        {"on_busy": "cancel"},
        {"thread": None, "after": ""},
        {"thread": None, "onBusy": "cancel"},
        {"owner": "bob"},
    ],
    ids=repr,
)
async def test_what_can_not_be_started(fields: dict[str, Any]) -> None:
    async with open_server(endless("x")) as server:
        await ended(server)
        answer = await post(server, **fields)
        assert (answer.status, answer.code) == (400, "bad-request")
        [thread] = (await get(server, "/threads"))["threads"]
        assert (thread["turns"], thread["active"]) == (1, None)


async def test_after_a_run_of_another_thread() -> None:
    async with open_server(endless("x")) as server:
        other = await ended(server, thread="another")
        for run_id in (other, "nope"):
            answer = await post(server, after=run_id)
            assert (answer.status, answer.code) == (400, "bad-request")
            assert f"run '{run_id}' has no turn in the thread" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/threads?limit=0", "limit is a number from 1 to 500"),
        ("/threads?limit=501", "limit is a number from 1 to 500"),
        *(
            (f"/threads?before={before}", "before is what the page of threads before it says")
            for before in ("", "tea", "7.", ".tea", "-1.tea", "1" * 30 + ".tea", "%C2%B2.tea")
        ),
        ("/threads/tea?last=nope", "run 'nope' has no turn in the thread 'tea'"),
        ("/threads/tea?last=", "run '' has no turn in the thread 'tea'"),
        ("/threads/tea?messages=2", "messages is a number from 0 to 1"),
        ("/threads/tea?messages=no", "messages is a number from 0 to 1"),
    ],
)
async def test_bad_queries(path: str, message: str) -> None:
    async with open_server(endless("x")) as server:
        await ended(server)
        answer = await server.request("GET", path)
        assert (answer.status, answer.code) == (400, "bad-request")
        assert message in answer.json["error"]["message"]


@pytest.mark.parametrize(
    "name", ["nope", "", ".", "a/../b", "a%2F..", "%00%ff", "%C2%85", "\N{SNOWMAN}" * 300]
)
async def test_threads_that_are_not_there(name: str) -> None:
    async with open_server(endless("x")) as server:
        await ended(server)
        path = f"/threads/{quote(name, safe='%')}"
        for method in ("GET", "DELETE"):
            assert await refusal(server, method, path) == (404, "unknown-thread")
        for query in ("last=x", "messages=0"):
            assert await refusal(server, "GET", f"{path}?{query}") == (404, "unknown-thread")
        empty = {"runs": [], "next": None}
        assert await get(server, f"/runs?thread={quote(name, safe='%')}") == empty
        assert await refusal(server, "POST", path) == (405, "method-not-allowed")


async def test_head() -> None:
    async with open_server(endless("x")) as server:
        await ended(server)
        for path, status in (("/threads", 200), ("/threads/tea", 200), ("/threads/nope", 404)):
            async with await server.connect() as client:
                await client.send("HEAD", path)
                answer = await client.receive_body(await client.receive_head())
                assert (answer.status, answer.body) == (status, b"")


class TestBusy:
    async def test_one_run_at_a_time(self) -> None:
        model = StepModel()
        async with open_server(model) as server:
            run = await began(server)
            shown = await get(server, "/threads/tea")
            assert (shown["active"], shown["head"], shown["messages"]) == (run.id, None, [])
            answers = [
                await post(server),
                await post(server, SSE, after=""),
                await server.request("DELETE", "/threads/tea"),
            ]
            for answer in answers:
                assert (answer.status, answer.code) == (409, "thread-busy")
                assert answer.json["error"]["runId"] == run.id
            other = await began(server, thread="another")
            for _ in range(2):
                model.finish()
            await run.wait()
            await other.wait()
            assert (await began(server)).id != run.id

    async def test_the_old_run_is_cancelled(self) -> None:
        model = StepModel()
        async with open_server(model) as server, await server.connect() as watcher:
            old = await began(server)
            model.say("Half of")
            seen = await watcher.watch(f"/runs/{old.id}/events")
            await watcher.receive_body(seen, until=b"Half of")
            new = await began(server, prompt="and?", onBusy="cancel")
            await watcher.receive_body(seen)
            last = seen.events[-1][1]
            assert (seen.complete, last["type"]) == (True, "run-finish")
            assert last["run"]["finishReason"] == "cancelled"
            model.say("Well.")
            model.finish()
            await new.wait()
            shown = await get(server, "/threads/tea")
            assert (shown["head"], shown["active"]) == (new.id, None)
            assert shown["messages"] == said("hi", "Half of", "and?", "Well.")

    async def test_an_old_run_that_does_not_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who is to take its place waits as long as who cancels."""
        monkeypatch.setattr("trio_agent.servers._shared.service._CANCEL_WAIT", 0.0)
        model = StepModel()
        async with open_server(model) as server:
            old = await began(server)
            for headers in (None, SSE):
                answer = await post(server, headers, onBusy="cancel")
                assert (answer.status, answer.code) == (409, "thread-busy")
                assert answer.json["error"]["runId"] == old.id
            assert len((await get(server, "/runs"))["runs"]) == 1

    async def test_a_run_that_waits_holds_its_thread(self) -> None:
        till = Till([PAY], ["Done."])
        async with open_server(till.agent) as server:
            old = await began(server)
            await asleep(old)
            assert (await get(server, "/threads/tea"))["active"] == old.id
            answer = await post(server)
            assert (answer.status, answer.code) == (409, "thread-busy")
            assert answer.json["error"]["runId"] == old.id
            new = await ended(server, onBusy="cancel", prompt="and?")
            assert (old.status, till.paid) == ("cancelled", [])
            assert (await get(server, "/threads/tea"))["head"] == new

    async def test_nothing_is_cancelled_where_nothing_is_active(self) -> None:
        async with open_server(endless("x")) as server:
            ids = [await ended(server, onBusy="cancel") for _ in range(2)]
            statuses = {run["id"]: run["status"] for run in (await get(server, "/runs"))["runs"]}
            assert statuses == dict.fromkeys(ids, "stop")

    @pytest.mark.parametrize("on_busy", ["reject", "cancel"])
    async def test_the_same_key_gives_the_same_run(self, on_busy: str) -> None:
        """Also while it is the one that is in its own way, and when others have followed it."""
        model = StepModel()
        async with open_server(model) as server:
            key = {"Idempotency-Key": "k"}
            run = await began(server, key, onBusy=on_busy)
            assert (await began(server, key, onBusy=on_busy)).id == run.id
            assert run.status == "active"
            model.finish()
            await run.wait()
            model.finish()
            await ended(server)
            assert (await began(server, key, onBusy=on_busy)).id == run.id
            for other in ({"thread": "another"}, {"after": run.id}):
                answer = await post(server, key, **other)
                assert (answer.status, answer.code) == (422, "key-reused")

    async def test_many_at_once(self) -> None:
        """Of those that come in one moment, one begins, and the others are told which."""
        model = StepModel()
        async with open_server(model) as server:
            answers: list[Answer] = []

            async def start() -> None:
                answers.append(await post(server))

            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(start)
            [began] = [answer.json["id"] for answer in answers if answer.status == 201]
            busy = [answer for answer in answers if answer.status != 201]
            assert {answer.code for answer in busy} == {"thread-busy"}
            assert {answer.json["error"]["runId"] for answer in busy} == {began}


async def test_a_run_that_failed_says_nothing_and_holds_nothing() -> None:
    model = ScriptedModel([ModelError("auth", "no")], ["A."])
    async with open_server(model) as server:
        run = await began(server)
        with run.subscribe() as events:
            assert [event async for event in events]
        assert await refusal(server, "GET", "/threads/tea") == (404, "unknown-thread")
        await ended(server)
        assert (await get(server, "/threads/tea"))["messages"] == said("hi", "A.")


async def test_a_long_thread_is_read_to_its_end() -> None:
    async with open_server(endless("x")) as server:
        for number in range(250):
            run = await server.start(thread="tea", metadata={"n": number})
            await run.wait()
        messages: list[Any] = []
        pages, path = 0, "/threads/tea"
        while True:
            page = await get(server, path)
            assert page["turns"] == 250
            messages = page["messages"] + messages
            pages += 1
            if page["next"] is None:
                break
            path = f"/threads/tea?last={page['next']}"
        assert pages == 3
        assert messages == said("hi", "x") * 250


class Moving(MemoryStore):
    """A thread that becomes another one behind every look at it, a few times."""

    def __init__(self, times: int, **becomes: Any) -> None:
        super().__init__()
        self.times, self.becomes = times, becomes

    async def thread(self, owner: str | None, thread: str) -> Any:
        info = await super().thread(owner, thread)
        if self.times:
            self.times -= 1
            return attrs.evolve(info, **self.becomes)
        return info


class TestWhatHappensMeanwhile:
    """The thread that is shown, and what was said in it, are asked for one behind the other."""

    async def test_what_is_said_behind_a_thread_without_turns(self) -> None:
        store = Moving(0, head=None, turns=0)
        async with open_server(endless("x"), store=store) as server:
            await ended(server)
            store.times = 1
            shown = await get(server, "/threads/tea")
            assert (shown["head"], shown["messages"], shown["pageTurns"]) == (None, [], [])

    @pytest.mark.parametrize(("times", "status"), [(1, 200), (2, 404), (3, 404)])
    async def test_a_thread_that_is_begun_again(self, times: int, status: int) -> None:
        store = Moving(0, head="f" * 32)
        async with open_server(endless("x"), store=store) as server:
            run_id = await ended(server)
            store.times = times
            answer = await server.request("GET", "/threads/tea")
            assert answer.status == status
            if status == 200:
                assert answer.json["head"] == run_id
                assert answer.json["messages"] == said("hi", "x")
            else:
                assert answer.code == "unknown-thread"

    async def test_a_turn_that_was_asked_for_is_not_looked_for_again(self) -> None:
        async with open_server(endless("x")) as server:
            await ended(server)
            path = f"/threads/tea?last={'f' * 32}"
            assert await refusal(server, "GET", path) == (400, "bad-request")


async def test_a_list_is_paged() -> None:
    async with open_server(endless("x")) as server:
        for number in range(5):
            await ended(server, thread=f"{number}/ü")
        found: list[str] = []
        path = "/threads?limit=2"
        while (page := await get(server, path))["next"] is not None:
            assert len(page["threads"]) <= 2
            found += [thread["thread"] for thread in page["threads"]]
            path = f"/threads?limit=2&before={quote(page['next'], safe='')}"
        assert page["threads"] == []
        # Runs of one millisecond are in the order of their names, which is the same.
        assert found == [f"{number}/ü" for number in reversed(range(5))]


class TestOwners:
    async def test_a_stranger_sees_nothing(self) -> None:
        quick, slow = Agent(model=endless("x")), Agent(name="slow", model=Forever())
        async with open_server(quick, slow, guard=Guard(bearer_tokens(TOKENS))) as server:
            alices = await ended(server, ALICE, prompt="mine")
            active = await began(server, ALICE, agent="slow")
            for method, path in [
                ("GET", "/threads/tea"),
                ("GET", f"/threads/tea?last={alices}"),
                ("DELETE", "/threads/tea"),
            ]:
                assert await refusal(server, method, path) == (401, "unauthorized")
                answer = await server.request(method, path, BOB)
                assert (answer.status, answer.code) == (404, "unknown-thread")
                # Word for word what he gets about a thread that never was.
                nope = await server.request(method, path.replace("tea", "nope"), BOB)
                assert answer.body.replace(b"tea", b"nope") == nope.body
            assert await get(server, "/threads", BOB) == {"threads": [], "next": None}
            assert await get(server, "/runs?thread=tea", BOB) == {"runs": [], "next": None}
            path = f"/runs?thread=tea&before={alices}"
            assert await refusal(server, "GET", path, BOB) == (404, "unknown-run")
            answer = await post(server, BOB, after=alices)
            assert (answer.status, answer.code) == (400, "bad-request")
            # His thread of that name is another one, and is in nobody's way.
            bobs = await ended(server, BOB, prompt="his", onBusy="cancel")
            shown = await get(server, "/threads/tea", BOB)
            assert (shown["head"], shown["messages"]) == (bobs, said("his", "x"))
            assert (await server.request("DELETE", "/threads/tea", BOB)).status == 204
            [thread] = (await get(server, "/threads", ALICE))["threads"]
            assert (thread["head"], thread["active"]) == (alices, active.id)
            assert (await get(server, "/threads/tea", ALICE))["messages"] == said("mine", "x")

    async def test_nobody_sees_the_threads_of_nobody(self) -> None:
        """Without tokens a server shows the threads that nobody owns."""
        async with open_server(endless("x")) as server:
            run = await server.start(thread="tea", owner="alice")
            await run.wait()
            assert await refusal(server, "GET", "/threads/tea") == (404, "unknown-thread")
            assert (await get(server, "/threads"))["threads"] == []
            assert (await get(server, f"/runs/{run.id}"))["thread"] == "tea"


async def test_a_bug_is_logged_without_names(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryStore):
        async def thread(self, owner: str | None, thread: str) -> Any:
            raise ZeroDivisionError

    async with open_server(endless("x"), store=Broken()) as server:
        assert await refusal(server, "GET", "/threads/my/illness") == (500, "internal")
    assert caplog.messages == ["GET /threads/{thread} failed by a bug"]


@pytest.mark.parametrize("operation", ["thread", "threads", "turns", "delete_thread"])
async def test_a_store_that_is_away(operation: str) -> None:
    store = FaultyStore(MemoryStore())
    async with open_server(endless("x"), store=store) as server:
        await ended(server)
        store.away.add(operation)
        method = "DELETE" if operation == "delete_thread" else "GET"
        path = "/threads" if operation == "threads" else "/threads/tea"
        assert await refusal(server, method, path) == (503, "store-unavailable")


async def test_what_can_not_be_read() -> None:
    class Damaged(MemoryStore):
        async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Any:
            turns = await super().turns(owner, thread, last, limit)
            return [attrs.evolve(turn, data=b"[{") for turn in turns]

    async with open_server(endless("x"), store=Damaged()) as server:
        await ended(server)
        assert await refusal(server, "GET", "/threads/tea") == (410, "cursor-expired")
        answer = await post(server)
        assert (answer.status, answer.code) == (410, "cursor-expired")
        await ended(server, after="")
        assert (await server.request("DELETE", "/threads/tea")).status == 204


async def test_a_thread_goes_on_at_the_next_start(tmp_path: Path) -> None:
    model = ScriptedModel(["A."], ["B."])
    key = {"Idempotency-Key": "k"}
    async with open_server(model, store=SQLiteStore(tmp_path / "runs.db")) as server:
        first = await ended(server, key, prompt="a", thread="tea/é")
    async with open_server(model, store=SQLiteStore(tmp_path / "runs.db")) as server:
        assert (await began(server, key, prompt="a", thread="tea/é")).id == first
        second = await ended(server, prompt="b", thread="tea/é")
        shown = await get(server, "/threads/tea%2F%C3%A9")
        assert (shown["head"], shown["messages"]) == (second, said("a", "A.", "b", "B."))
        assert [thread["turns"] for thread in (await get(server, "/threads"))["threads"]] == [2]
        assert (await server.request("DELETE", "/threads/tea%2F%C3%A9")).status == 204
        assert (await get(server, "/threads"))["threads"] == []
        assert (await get(server, "/runs"))["runs"] == []


async def test_a_thread_that_is_too_large() -> None:
    limits = RuntimeLimits(max_thread_bytes=200)
    async with open_server(endless("x"), limits=limits) as server:
        await ended(server, prompt="p" * 200)
        answer = await post(server)
        assert (answer.status, answer.code) == (413, "too-large")
        await ended(server, after="")


@pytest.fixture(params=["memory", "valkey"])
def doors(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Iterator[Store]]:
    """Ways to one store."""
    if request.param == "memory":
        memory = MemoryStore()
        yield (FaultyStore(memory) for _ in count())
        return
    with running_server(tmp_path) as valkey:
        yield (ValkeyStore(valkey.url) for _ in count())


async def test_two_servers_over_one_store(doors: Iterator[Store]) -> None:
    quick, slow = Agent(model=endless("x")), Agent(name="slow", model=Forever())
    async with (
        open_server(quick, slow, store=next(doors)) as one,
        open_server(quick, slow, store=next(doors)) as two,
    ):
        first = await ended(one, prompt="a")
        active = await began(two, prompt="b", agent="slow")
        answer = await post(one)
        assert (answer.status, answer.code) == (409, "thread-busy")
        assert answer.json["error"]["runId"] == active.id
        assert (await get(one, "/threads/tea"))["active"] == active.id
        assert await refusal(one, "DELETE", "/threads/tea") == (409, "thread-busy")
        new = await ended(one, prompt="c", onBusy="cancel")
        assert active.status == "cancelled"
        for server in (one, two):
            shown = await get(server, "/threads/tea")
            assert (shown["head"], shown["active"]) == (new, None)
            assert shown["messages"] == said("a", "x", "c", "x")
            earlier = await get(server, f"/threads/tea?last={first}")
            assert earlier["messages"] == said("a", "x")
        assert (await two.request("DELETE", "/threads/tea")).status == 204
        assert await refusal(one, "GET", "/threads/tea") == (404, "unknown-thread")
