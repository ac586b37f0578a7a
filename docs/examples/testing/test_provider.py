from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from weather import make_agent

from trio_agent import OpenAIModel, RunFailed, TextDelta, open_runtime
from trio_agent.testing.openai import (
    RecordedRequest,
    Script,
    ScriptedServer,
    Step,
    cut,
    end,
    finish,
    hang,
    open_scripted_openai,
    pause,
    status,
    text,
    tokens,
    tool_call,
    usage,
)


@asynccontextmanager
async def provider(script: Script) -> AsyncIterator[tuple[ScriptedServer, OpenAIModel]]:
    with trio.fail_after(30):
        async with open_scripted_openai(script) as server:
            yield server, OpenAIModel("gpt-4o-mini", base_url=server.base_url, api_key="sk-test")


async def test_a_conversation() -> None:
    script: Script = [
        [tool_call("c1", "whose", ["{", "}"]), finish("tool_calls"), usage(20, 5)],
        [text("Nobody"), text("'s."), finish(), usage(30, 2)],
    ]
    async with provider(script) as (server, model):
        result = await make_agent(model).run("Whose is this?")
    assert (result.text, result.usage.total_tokens) == ("Nobody's.", 57)
    first, second = server.requests
    assert first.headers["authorization"] == "Bearer sk-test"
    assert first.body["messages"][0] == {"role": "system", "content": "Tell the weather."}
    assert second.body["messages"][-1] == {
        "role": "tool",
        "tool_call_id": "c1",
        "content": "nobody",
    }


async def test_an_answer_that_depends_on_the_question() -> None:
    def shout(request: RecordedRequest) -> list[bytes]:
        return [text(request.body["messages"][-1]["content"].upper()), finish()]

    async with provider([shout]) as (_, model):
        assert (await make_agent(model).run("snow")).text == "SNOW"


async def test_refused_and_asked_again() -> None:
    busy = status(429, {"retry-after-ms": "1"}, {"error": {"message": "slow down"}})
    async with provider([[busy], [tokens(3), finish()]]) as (server, model):
        assert (await make_agent(model).run("Count.")).text == "word0 word1 word2 "
    assert len(server.requests) == 2


@pytest.mark.parametrize("broken", [cut(), end()], ids=["connection", "answer"])
async def test_cut_in_the_middle_of_an_answer(broken: Step) -> None:
    async with provider([[text("Sn"), broken]]) as (server, model):
        with pytest.raises(RunFailed, match="cut-stream"):
            await make_agent(model).run("The weather?")
    assert len(server.requests) == 1  # what was said can't be taken back


async def test_cancelling_closes_the_connection() -> None:
    async with provider([[text("Sn"), hang()]]) as (server, model):
        async with make_agent(model).stream("The weather?") as chunks:
            assert await chunks.receive() == "Sn"
        await server.requests[0].disconnected.wait()


async def test_two_at_a_time() -> None:
    go_on = trio.Event()
    script: Script = [[text("slow"), pause(go_on), finish()], [text("quick"), finish()]]
    async with provider(script) as (_, model), open_runtime() as runtime:
        first = await runtime.start(make_agent(model), "Hello?")
        async with first.subscribe() as events:
            while not isinstance(await events.receive(), TextDelta):
                pass
            second = await runtime.start(make_agent(model), "Hello?")
            assert (await second.wait()).text == "quick"
            go_on.set()
        assert (await first.wait()).text == "slow"
