"""One request, and its response handed on: in which pieces, when, and how it ends."""

import gc
import itertools
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping

import attrs
import pytest
import trio
import trio.testing
from http_kit import PATH, SOON, serve, together, together_with_the_end

from trio_agent._http.before_waiting import BeforeWaiting
from trio_agent._http.errors import TransportError
from trio_agent._http.exchange import Exchange
from trio_agent._http.library import httpcore, httpx
from trio_agent._http.transport import Transport, open_transport
from trio_agent.testing import Sweep, cancel_sweep, openai as scripted
from trio_agent.testing.openai import RecordedRequest, ScriptedServer, open_scripted_openai

Feeding = Mapping[int, bool | Exception]
"""What comes of the first piece, the second ...: whether there is room then, or a failure."""


@attrs.define
class Recorder:
    """Keeps what it is handed. There is room behind each piece that `feeding` says nothing of."""

    feeding: Feeding = attrs.field(factory=dict)
    wait_for_room: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint
    said: list[str] = attrs.field(factory=list)
    fed: list[bytes] = attrs.field(factory=list)
    in_room: trio.Event = attrs.field(factory=trio.Event)
    has_fed: defaultdict[int, trio.Event] = attrs.field(factory=lambda: defaultdict(trio.Event))
    """Set when there were so many pieces."""

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.said.append(f"begin {status} {headers['Content-Type']}")

    def feed(self, data: bytes) -> bool:
        self.said.append(f"feed {data.decode()}")
        self.fed.append(data)
        self.has_fed[len(self.fed)].set()
        match self.feeding.get(len(self.fed), True):
            case bool() as has_room:
                return has_room
            case failure:
                raise failure

    async def room(self) -> None:
        self.said.append("room")
        self.in_room.set()
        await self.wait_for_room()
        self.said.append("roomy")


# Against a client that says what it does


class Client:
    """Its one response is a script: pieces, waits (None), and what goes wrong."""

    status_code = 200

    def __init__(
        self, script: Iterable[bytes | Exception | None], said: list[str], *, quick: bool = False
    ) -> None:
        self.headers = httpx.Headers({"content-type": "x"})
        self._script = iter(script)
        self._said = said
        self._quick = quick

    async def send(self, request: object, *, stream: bool) -> "Client":
        assert stream
        assert request == "request"
        await self._step("sent")
        return self

    @property
    def stream(self) -> "Client":
        return self

    def __aiter__(self) -> "Client":
        return self

    async def __anext__(self) -> bytes:
        for step in self._script:
            match step:
                case None:
                    await trio.lowlevel.checkpoint()
                    self._said.append("waited")
                case bytes():
                    return step
                case _:
                    raise step
        self._said.append("end")
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._step("closed")

    async def _step(self, name: str) -> None:
        if not self._quick:
            await trio.lowlevel.checkpoint()
        self._said.append(name)


async def play(
    script: Iterable[bytes | Exception | None], receiver: Recorder, *, quick: bool = False
) -> list[str]:
    """What was said between the head and the end."""
    with trio.fail_after(SOON):
        await Exchange(receiver).run(Client(script, receiver.said, quick=quick), "request")
    assert receiver.said[:2] == ["sent", "begin 200 x"]
    return receiver.said[2:]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([], "end, closed"),
        ([None], "waited, end, closed"),
        ([b"a"], "end, feed a, closed"),
        ([b"a", b"b", b"c"], "end, feed abc, closed"),
        ([None, b"a", None, b"b"], "waited, feed a, waited, end, feed b, closed"),
        ([b"a", b"b", None, None, b"c"], "feed ab, waited, waited, end, feed c, closed"),
    ],
)
async def test_handed_on_just_before_it_waits(script: list[bytes | None], said: str) -> None:
    assert await play(script, Recorder()) == said.split(", ")


async def test_the_last_piece_needs_no_wait() -> None:
    said = await play([b"a", b"b"], Recorder(), quick=True)
    assert said == ["end", "closed", "feed ab"]


async def no_wait() -> None:
    """There is room already."""


@pytest.mark.parametrize(
    ("script", "feeding", "waits", "said"),
    [
        # Nothing more comes, so nobody needs room.
        ([b"a"], {1: False}, True, "end, feed a"),
        ([b"a", None], {1: False}, True, "feed a, waited, end"),
        # What came meanwhile is handed on at once, too: it is the room behind it that is wanted.
        ([b"a", None, b"b"], {1: False}, True, "feed a, waited, room, feed b, roomy, end"),
        ([b"a", None, b"b"], {1: False}, False, "feed a, waited, room, roomy, end, feed b"),
        (
            [b"a", None, b"b", b"c", None],
            {1: False},
            True,
            "feed a, waited, room, feed b, roomy, feed c, waited, end",
        ),
        # Once for each time that there was none, however much comes behind.
        ([b"a", None, b"b", b"c"], {1: False}, False, "feed a, waited, room, roomy, end, feed bc"),
        (
            [b"a", None, b"b", None, b"c", None, b"d"],
            {1: False, 3: False},
            False,
            "feed a, waited, room, roomy, feed b, waited, feed c, waited, room, roomy, end, feed d",
        ),
    ],
)
async def test_room_is_awaited_when_there_is_none(
    script: list[bytes | None], feeding: Feeding, waits: bool, said: str
) -> None:
    wait = trio.lowlevel.checkpoint if waits else no_wait
    assert await play(script, Recorder(feeding, wait)) == [*said.split(", "), "closed"]


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_what_is_fed_behind_a_failure_is_nothing(number: int) -> None:
    failure, receiver = KeyError("mine"), Recorder({})
    receiver.feeding = {number: failure}
    with pytest.raises(KeyError) as caught:
        await play([b"a", None, b"b", None, b"c", b"d", None], receiver)
    assert caught.value is failure
    assert receiver.fed == [b"a", b"b", b"cd"][:number]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([httpcore.ReadError("x")], "cut-stream"),
        ([b"a", httpcore.RemoteProtocolError("x")], "cut-stream"),
        ([b"a", None, httpx.ReadTimeout("x")], "cut-stream"),
    ],
)
async def test_a_broken_connection_is_a_transport_error(
    script: list[bytes | Exception | None], code: str
) -> None:
    receiver = Recorder()
    with pytest.raises(TransportError) as caught:
        await play(script, receiver)
    assert caught.value.code == code
    assert caught.value.__cause__ is script[-1]


@pytest.mark.parametrize("quick", [False, True])
async def test_what_came_before_a_broken_connection_is_handed_on(quick: bool) -> None:
    """If it broke in the middle of a read, too."""
    receiver = Recorder()
    script = [b"a", None, b"b", httpcore.RemoteProtocolError("x")]
    with pytest.raises(TransportError):
        await play(script, receiver, quick=quick)
    assert receiver.fed == [b"a", b"b"]


@pytest.mark.parametrize("where", ["feed", "room"])
async def test_a_receivers_failure_comes_before_the_connections(where: str) -> None:
    """It ended the exchange; what came behind it in the same read is nobody's business."""
    failure, receiver = KeyError("mine"), Recorder({1: False})

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise failure

    if where == "feed":
        receiver.feeding = {1: False, 2: failure}
    else:
        receiver.wait_for_room = fail
    with pytest.raises(KeyError) as caught:
        await play([b"a", None, b"b", httpcore.RemoteProtocolError("x")], receiver)
    assert caught.value is failure


async def test_a_bug_of_the_client_is_no_transport_error() -> None:
    bug = RuntimeError("a bug")
    with pytest.raises(RuntimeError) as caught:
        await play([b"a", None, bug], Recorder())
    assert caught.value is bug


# Against a server


END = scripted.end()


def answer(
    receiver: Recorder, *reads: Iterable[bytes], last: scripted.Step = END
) -> scripted.Answer:
    """What comes in one read, and in the next one, which is sent when the one before was fed."""
    steps: list[scripted.Step] = []
    for number, chunks in enumerate(reads):
        steps += [scripted.pause(receiver.has_fed[number])] if number else []
        steps.append(together(*chunks))
    return [*steps, last]


async def ask(transport: Transport, receiver: Recorder) -> None:
    """One exchange, which does not hang."""
    with trio.fail_after(SOON):
        await transport.exchange("POST", PATH, receiver, headers={}, content=b"{}")


async def check_closed(server: ScriptedServer, transport: Transport) -> None:
    """The connection is closed, the server knows, and the next request gets another one."""
    assert all(connection.is_closed() for connection in pool_of(transport).connections)
    with trio.fail_after(SOON):
        await server.requests[0].disconnected.wait()
    await ask(transport, Recorder())
    assert server.connections == 2


async def check_kept(server: ScriptedServer, transport: Transport) -> None:
    """The next request gets the same connection."""
    await ask(transport, Recorder())
    assert server.connections == 1
    assert not server.requests[0].disconnected.is_set()


def pool_of(transport: Transport) -> httpcore.AsyncConnectionPool:
    pool: httpcore.AsyncConnectionPool = transport._client._transport._shared.transport._pools[
        b"http"
    ]
    return pool


async def test_what_came_in_one_read_is_handed_on_in_one_piece() -> None:
    receiver = Recorder()
    reads = [b"a", b"b", b"c"], [b"d"], [b"e", b"f"]
    async with serve(answer(receiver, *reads), [scripted.end()]) as (server, transport):
        await ask(transport, receiver)
        assert receiver.said == [
            *("begin 200 text/event-stream", "feed abc", "feed d", "feed ef"),
        ]
        await check_kept(server, transport)


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_receiver_that_fails(number: int) -> None:
    failure, receiver = KeyError("mine"), Recorder()
    receiver.feeding = {number: failure}
    reads = [b"a"], [b"b", b"c"], [b"d"]
    async with serve(answer(receiver, *reads, last=scripted.hang()), [scripted.end()]) as (
        server,
        transport,
    ):
        with pytest.raises(KeyError) as caught:
            await ask(transport, receiver)
        assert caught.value is failure
        assert receiver.fed == [b"a", b"bc", b"d"][:number]
        await check_closed(server, transport)


async def test_a_receiver_that_fails_at_the_end() -> None:
    failure, receiver = KeyError("mine"), Recorder()
    receiver.feeding = {2: failure}
    last = together_with_the_end(b"b", b"c")
    async with serve(answer(receiver, [b"a"], [], last=last), [scripted.end()]) as (
        server,
        transport,
    ):
        with pytest.raises(KeyError) as caught:
            await ask(transport, receiver)
        assert caught.value is failure
        await check_kept(server, transport)


@pytest.mark.parametrize("rest", [[], [b"c", b"d"]], ids=["nothing left", "something left"])
async def test_a_receiver_that_fails_while_it_has_no_room(rest: list[bytes]) -> None:
    failure = KeyError("mine")
    receiver = Recorder({1: False, 2: failure}, trio.sleep_forever)
    script = answer(receiver, [b"a"], [b"b", *rest], last=scripted.hang())
    async with serve(script, [scripted.end()]) as (server, transport):
        with pytest.raises(KeyError) as caught:
            await ask(transport, receiver)
        assert caught.value is failure
        assert receiver.fed == [b"a", b"b"]
        await check_closed(server, transport)


class Refusing(Recorder):
    """It does not even want the head."""

    failure = KeyError("mine")

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        raise self.failure


async def test_a_head_that_is_refused() -> None:
    receiver = Refusing()
    async with serve([b"a", scripted.hang()]) as (_, transport):
        with pytest.raises(KeyError) as caught:
            await ask(transport, receiver)
        assert caught.value is receiver.failure
        assert receiver.fed == []


async def test_a_head_that_is_refused_closes_the_connection() -> None:
    async with serve([b"a", scripted.hang()], [scripted.end()]) as (server, transport):
        with pytest.raises(KeyError):
            await ask(transport, Refusing())
        await check_closed(server, transport)


@pytest.mark.parametrize("rest", [[], [b"c", b"d"]], ids=["nothing left", "something left"])
@pytest.mark.parametrize("waits", [False, True])
async def test_room_that_fails(waits: bool, rest: list[bytes]) -> None:
    failure = KeyError("mine")

    async def fail() -> None:
        if waits:
            await trio.lowlevel.checkpoint()
        raise failure

    receiver = Recorder({1: False}, fail)
    script = answer(receiver, [b"a"], [b"b", *rest], last=scripted.hang())
    async with serve(script, [scripted.end()]) as (server, transport):
        with pytest.raises(KeyError) as caught:
            await ask(transport, receiver)
        assert caught.value is failure
        # What came before is handed on while it waits, and nothing behind.
        assert receiver.fed == ([b"a", b"b"] if waits else [b"a"])
        await check_closed(server, transport)


async def test_no_more_is_read_without_room() -> None:
    """What the socket holds is the server's business: it is told to wait, too."""
    room = trio.Event()
    receiver = Recorder({1: False}, room.wait)
    async with (
        serve([b"a", scripted.tokens(20_000), scripted.end()]) as (_, transport),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ask, transport, receiver)
        await receiver.in_room.wait()
        # All that fits into the socket's buffers comes meanwhile.
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert sum(map(len, receiver.fed)) <= 1 + (1 << 16)
        room.set()
    assert b"".join(receiver.fed).count(b"\n\n") == 20_000


async def test_cancelled_while_it_reads() -> None:
    receiver = Recorder()
    script = answer(receiver, [b"a"], [b"b"], last=scripted.hang())
    async with serve(script, [scripted.end()]) as (server, transport):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, transport, receiver)
                await receiver.has_fed[2].wait()
                scope.cancel()
        assert scope.cancelled_caught
        assert receiver.fed == [b"a", b"b"]
        await check_closed(server, transport)


@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
@pytest.mark.parametrize("rest", [[], [b"c", b"d"]], ids=["nothing left", "something left"])
async def test_cancelled_without_room(rest: list[bytes], always: bool) -> None:
    feeding: Feeding = dict.fromkeys(range(1, 5) if always else [1], False)
    receiver = Recorder(feeding, trio.sleep_forever)
    script = answer(receiver, [b"a"], [b"b", *rest], last=scripted.hang())
    async with serve(script, [scripted.end()]) as (server, transport):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, transport, receiver)
                await receiver.has_fed[2].wait()
                scope.cancel()
        assert scope.cancelled_caught
        assert receiver.fed[:2] == [b"a", b"b"]
        assert b"bcd".startswith(b"".join(receiver.fed[1:]))
        assert "roomy" not in receiver.said
        await check_closed(server, transport)


async def test_cancelled_without_room_when_all_has_come() -> None:
    """There is nothing left to wait for: it ends as if it had not been cancelled."""
    receiver = Recorder({1: False}, trio.sleep_forever)
    ended = False

    async def ask_and_tell() -> None:
        nonlocal ended
        await ask(transport, receiver)
        ended = True

    last = together_with_the_end(b"b", b"c")
    async with serve(answer(receiver, [b"a"], [], last=last), [scripted.end()]) as (
        server,
        transport,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_tell)
            await receiver.has_fed[2].wait()
            nursery.cancel_scope.cancel()
        assert ended
        assert b"".join(receiver.fed) == b"abc"
        await check_kept(server, transport)


# What is left


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went wrong in destructors, such as Trio's warnings of async generators."""
    found: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: found.append(repr(args.exc_value)))
    return found


WAYS: Mapping[str, tuple[Feeding, scripted.Step]] = {
    "to the end": ({}, END),
    "cut": ({}, scripted.cut()),
    "feed fails": ({2: KeyError("mine")}, scripted.hang()),
    "feed fails in room": ({1: False, 2: KeyError("mine")}, scripted.hang()),
    "room fails": ({1: False}, scripted.hang()),
    "cancelled": ({}, scripted.hang()),
    "cancelled in room": ({1: False}, scripted.hang()),
}


async def end_as(way: str, transport: Transport, receiver: Recorder) -> None:
    """Let the exchange end in this way."""
    receiver.feeding, _ = WAYS[way]

    async def wait_for_room() -> None:
        if way == "room fails":
            raise KeyError("mine")
        await trio.sleep_forever()

    receiver.wait_for_room = wait_for_room
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            if "fail" in way or way == "cut":
                with pytest.raises((KeyError, TransportError)):
                    await ask(transport, receiver)
            else:
                await ask(transport, receiver)

        nursery.start_soon(run)
        if way.startswith("cancelled"):
            await receiver.has_fed[2].wait()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_left_to_the_garbage_collector(way: str, unraisable: list[str]) -> None:
    receiver = Recorder()
    async with serve(
        answer(receiver, [b"a"], [b"b", b"c"], last=WAYS[way][1]), [scripted.end()]
    ) as (_, transport):
        await end_as(way, transport, receiver)
        # Generators that were dropped are told of by now, or when the collector finds them.
        gc.collect()
        await trio.lowlevel.checkpoint()
        assert unraisable == []


@pytest.mark.parametrize("way", [way for way in WAYS if way != "to the end"])
async def test_nothing_is_left_in_the_pool(way: str) -> None:
    receiver = Recorder()
    async with serve(
        answer(receiver, [b"a"], [b"b", b"c"], last=WAYS[way][1]), [scripted.end()]
    ) as (_, transport):
        await end_as(way, transport, receiver)
        assert pool_of(transport)._requests == []


# Cancelled everywhere


@pytest.mark.parametrize("where", ["steps", "waits"])
def test_cancelled_at_every_step(where: str) -> None:
    """At each wait of the exchange; or at each step of any task, the server's too."""

    async def scenario(sweep: Sweep) -> None:
        receiver, all_sent = Recorder({1: False, 3: False}), trio.Event()

        async def tell(_: object) -> None:
            all_sent.set()

        last = [tell, together_with_the_end(b"e")]
        first = answer(receiver, [b"a"], [b"b", b"c"], [b"d"], [], last=last)

        def choose(request: RecordedRequest) -> scripted.Answer:
            return first if request.method == "POST" else [END]

        async with (
            open_scripted_openai(itertools.repeat(choose)) as server,
            open_transport(server.base_url) as transport,
        ):
            with trio.fail_after(SOON):
                with sweep:
                    exchange = transport.exchange("POST", PATH, receiver, headers={})
                    await BeforeWaiting(exchange, sweep.point)
                assert b"abcde".startswith(b"".join(receiver.fed))
                left = [c for c in pool_of(transport).connections if not c.is_closed()]
                assert all(connection.is_idle() for connection in left)
                if not sweep.interrupted:
                    assert receiver.fed == [b"a", b"b", b"c", b"d", b"e"]
                    assert receiver.said.count("room") == 2
                    assert left
                if not left and not all_sent.is_set():
                    for request in server.requests:
                        await request.disconnected.wait()
                # It is used again, or it is gone.
                async with transport.stream("GET", "/models", headers={}) as response:
                    assert (await response.head())[0] == 200
                    [used] = [c for c in pool_of(transport).connections if not c.is_closed()]
                    assert left in ([], [used])

    steps = where == "steps"
    assert cancel_sweep(scenario, steps=steps, clock=lambda: None) > (30 if steps else 10)
