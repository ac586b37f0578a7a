import pytest
import trio
import trio.testing

from trio_agent._agent import Agent
from trio_agent._errors import ModelError, RunFailed, RunIncomplete
from trio_agent._events import RunFinish, RunStart, TextDelta, Usage
from trio_agent.models._parts import ModelFinish, ReasoningPart
from trio_agent.testing import ScriptedModel


async def test_run() -> None:
    result = await Agent(model=ScriptedModel(["a", "b", ModelFinish("stop", Usage(1, 1, 2))])).run(
        "x"
    )
    assert (result.text, result.usage) == ("ab", Usage(1, 1, 2))
    again = await Agent(model=ScriptedModel(["c"])).run("y", messages=result.messages)
    assert [message.content for message in again.messages] == ["x", "ab", "y", "c"]
    with pytest.raises(RunFailed, match="x: y") as caught:
        await Agent(model=ScriptedModel(["d", ModelError("x", "y")])).run("x")
    left = caught.value.result
    assert left is not None
    assert [message.content for message in left.messages] == ["x", "d"]
    with pytest.raises(ValueError, match="give a prompt"):
        await Agent(model=ScriptedModel()).run()


async def test_cancelling_run_cancels_the_run() -> None:
    cancelled = trio.Event()

    class Slow(ScriptedModel):
        async def generate(self, *args: object) -> ModelFinish:
            try:
                await trio.sleep_forever()
            finally:
                cancelled.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Agent(model=Slow()).run, "hi")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert cancelled.is_set()


async def test_stream() -> None:
    model = ScriptedModel([ReasoningPart("hm"), "a", "b"])
    async with Agent(model=model).stream("hi") as chunks:
        assert [chunk async for chunk in chunks] == ["a", "b"]
        with pytest.raises(trio.EndOfChannel):
            await chunks.receive()


@pytest.mark.parametrize(
    ("end", "error", "match"),
    [
        (ModelError("cut", "it broke off"), RunFailed, "cut: it broke off"),
        (ModelFinish("length"), RunIncomplete, "'length'.*incomplete"),
    ],
)
async def test_an_end_that_is_none(
    end: ModelError | ModelFinish, error: type[Exception], match: str
) -> None:
    async with Agent(model=ScriptedModel(["a", end])).stream("hi") as chunks:
        assert await chunks.receive() == "a"
        for _ in range(2):
            with pytest.raises(error, match=match) as caught:
                await chunks.receive()
            if isinstance(caught.value, RunFailed):
                assert caught.value.result is not None
                assert caught.value.result.text == "a"


async def test_stream_events() -> None:
    async with Agent(model=ScriptedModel(["a"])).stream_events("hi") as events:
        seen = [event async for event in events]
    assert isinstance(seen[0], RunStart)
    assert isinstance(seen[-1], RunFinish)
    assert seen[-1].run.text == "a"


@pytest.mark.parametrize("how", ["leave", "close", "raise", "cancel"])
async def test_leaving_early_cancels(how: str) -> None:
    ended: list[str] = []

    class Slow(ScriptedModel):
        async def generate(self, request: object, emit: object) -> ModelFinish:
            try:
                return await super().generate(request, emit)  # type: ignore[arg-type]
            finally:
                ended.append("model")

    agent = Agent(model=Slow(["a", trio.Event()]))
    with trio.CancelScope() as scope:
        try:
            async with agent.stream("hi") as chunks:
                assert await chunks.receive() == "a"
                match how:
                    case "close":
                        await chunks.aclose()
                    case "raise":
                        raise KeyError("mine")
                    case "cancel":
                        scope.cancel()
                        await trio.sleep_forever()
        except KeyError:
            ended.append("body")
    assert ended == (["model", "body"] if how == "raise" else ["model"])


async def test_a_slow_reader_gets_everything(mock_clock: trio.testing.MockClock) -> None:
    """However far behind, and however long after the end: the log lives as long as its reader."""
    async with Agent(model=ScriptedModel([str(n) for n in range(5000)])).stream_events(
        "hi"
    ) as events:
        first = await events.receive()
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(1_000_000)
        await trio.testing.wait_all_tasks_blocked()
        rest = [event async for event in events]
    assert isinstance(first, RunStart)
    deltas = [event.delta for event in rest if isinstance(event, TextDelta)]
    assert deltas == [str(n) for n in range(5000)]
    assert rest[-1].terminal
