"""A client is cut all over an event stream, and resumes: nothing is lost or repeated.

Around each end of a line, and every few bytes between; after every byte if one asks.
"""

import json
from collections.abc import Callable
from itertools import islice

import attrs
import pytest
import trio
from careful_kit import make_careful, to_its_end
from server_kit import SOON, Client, Server, get_weather, logged, open_server, weather_model
from team_kit import Retold, make_pair, make_shaped, make_team
from thorough_kit import ends_of_lines, places_to_cut

from trio_agent import Agent, FallbackModel, ModelError
from trio_agent.abc import Emit, Model, ModelFinish, ModelRequest
from trio_agent.testing import ScriptedModel, call
from trio_agent.testing._scripted_model import Line
from trio_agent.wire import SSEDecoder

RESUMED_BY = 4
"""Tasks that cut at the same time."""

REQUESTS = 500
"""On one connection; the server closes one after some more."""


async def receive_exactly(client: Client, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await client.stream.receive_some(count - len(data))
    return data


def read_events(raw: bytes) -> list[tuple[str, bytes]]:
    """What a client has of a response that was cut there."""
    _, _, body = raw.partition(b"\r\n\r\n")
    decoder, events = SSEDecoder(), []
    while body:
        size, line, rest = body.partition(b"\r\n")
        if not line or not (length := int(size, 16)):
            break
        events += decoder.feed(rest[:length])
        body = rest[length + 2 :]
    return [(event.id, event.data.encode()) for event in events]


async def receive_whole(client: Client, path: str, last: str | None) -> list[tuple[str, bytes]]:
    answer = await client.request("GET", path, {} if last is None else {"Last-Event-ID": last})
    if last is not None and answer.status == 204:
        return []
    assert answer.status == 200
    assert answer.complete
    return [(event.id, event.data.encode()) for event in SSEDecoder().feed(answer.body)]


async def sweep(server: Server, path: str, expected: list[tuple[str, bytes]]) -> int:
    """Cut the replay of a finished run all over; returns its size in bytes."""
    request = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode()
    async with await server.connect() as client:
        await client.stream.send_all(request)
        raw = b""
        while not raw.endswith(b"\r\n0\r\n\r\n"):
            raw += await client.stream.receive_some()
    assert read_events(raw) == expected
    places = iter(places_to_cut(raw, ends_of_lines(raw)))

    async def cut() -> None:
        while some := list(islice(places, REQUESTS)):
            async with await server.connect() as resuming:
                for place in some:
                    async with await server.connect() as client:
                        await client.stream.send_all(request)
                        seen = read_events(await receive_exactly(client, place))
                    rest = await receive_whole(resuming, path, seen[-1][0] if seen else None)
                    assert seen + rest == expected, place

    async with trio.open_nursery() as nursery:
        for _ in range(RESUMED_BY):
            nursery.start_soon(cut)
    return len(raw)


async def test_replay_is_cut_after_every_byte() -> None:
    # With all that a log may have: another model takes over, and its provider wants something back.
    busy = ModelError("busy", "é\n")
    model = FallbackModel(ScriptedModel([busy], [busy]), Secretive(weather_model()))
    agent = Agent(model=model, tools=[get_weather])
    async with open_server(agent, seconds=6 * SOON) as server:
        run = await server.start()
        await run.wait()
        expected = await logged(run, server)
        assert len(expected) >= 16, expected
        kinds = [json.loads(data)["type"] for _, data in expected]
        assert kinds.count("model-switch") == kinds.count("model-finish") == 2
        assert SECRET not in b"".join(data for _, data in expected)
        assert await sweep(server, f"/runs/{run.id}/events", expected) > 1000


SECRET = b"wanted back"


class Secretive(Model):
    """Its provider wants something back with each answer."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        finish = await self._model.generate(request, emit)
        return attrs.evolve(finish, provider={"p": SECRET.decode()})


@pytest.mark.parametrize(
    ("make_agent", "kind", "times"), [(make_pair, "nested", 10), (make_shaped, "output-delta", 4)]
)
async def test_replay_of_what_an_agent_can_do_is_cut_after_every_byte(
    make_agent: Callable[[], Agent], kind: str, times: int
) -> None:
    async with open_server(make_agent(), seconds=6 * SOON) as server:
        run = await server.start()
        await run.wait()
        expected = await logged(run, server)
        kinds = [json.loads(data)["type"] for _, data in expected]
        assert kinds.count(kind) >= times
        assert await sweep(server, f"/runs/{run.id}/events", expected) > 1000


async def test_replay_of_what_was_taken_back_and_waited_for_is_cut_after_every_byte() -> None:
    async with open_server(make_careful(), seconds=6 * SOON) as server:
        run = await server.start()
        await to_its_end(run)
        expected = await logged(run, server)
        kinds = {json.loads(data)["type"] for _, data in expected}
        assert {"step-discard", "tool-request", "tool-answer", "waiting", "continued"} <= kinds
        assert await sweep(server, f"/runs/{run.id}/events", expected) > 1000


def again() -> Agent:
    """Tells the same story to everybody."""
    look: list[Line] = ["Look.", call("c1", "get_weather", city="Oslo")]
    return Agent(model=Retold(look, ["It ", "is ", "cold."]), tools=[get_weather])


@pytest.mark.parametrize(("make_agent", "step"), [(again, 19), (make_team, 97)])
async def test_live_stream_is_cut_and_the_run_goes_on(
    make_agent: Callable[[], Agent], step: int
) -> None:
    async with open_server(make_agent()) as server, await server.connect() as resuming:
        whole = await server.request("GET", "/stream?prompt=x")
        places = range(1, len(whole.body), step)
        for place in places:
            # The same key finds the run again if not even the first event was seen.
            path = f"/stream?prompt=x&key={place}"
            async with await server.connect() as client:
                await client.send("GET", path)
                seen = read_events(await receive_exactly(client, place))
            rest = await receive_whole(resuming, path, seen[-1][0] if seen else None)
            run = await server.runtime.find((seen + rest)[0][0].partition(".")[0])
            assert seen + rest == await logged(run, server), place
        assert server.runtime.statistics().retained == 1 + len(places)
