"""Conversations through the languages of all models; the providers refuse what real ones refuse.

What providers want back (signatures, sealed reasoning, ids) must be there in each request of a tool
loop, also when a run was killed between its answer and its tools; and what one provider gave must
not spoil the request to another.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest
import trio
from process_kit import PATIENCE, open_process
from wires_kit import PNG, WIRES, Wire

from trio_agent import (
    Agent,
    AnyMessage,
    AssistantMessage,
    File,
    Limits,
    Result,
    RunFailed,
    SQLiteStore,
    Text,
    ToolMessage,
    Usage,
    UserMessage,
    open_runtime,
    tool,
)
from trio_agent.client import open_client
from trio_agent.models import FallbackModel
from trio_agent.testing.openai import ScriptedServer, status

KITS = str(Path(__file__).parents[1] / "kits")


@tool
async def look(city: str) -> str:
    """Look out of the window."""
    return f"{city}: snow"


SHOW = UserMessage((Text("Where is this?"), File("image/png", data=PNG)))
TURNS: tuple[UserMessage, ...] = (SHOW, UserMessage("And there?"), UserMessage("Thanks!"))


def script(wire: Wire, turn: int) -> list[Any]:
    """What the model says in a turn."""
    match turn:
        case 0:
            two = [("a", "look", {"city": "Oslo"}), ("b", "look", {"city": "Rome"})]
            return [
                wire.acts("two of them", *two),
                wire.acts("one more", ("a", "look", {"city": "Bern"})),
                wire.says("It snows in Oslo."),
            ]
        case 1:
            return [wire.acts("there", ("a", "look", {"city": "Kiew"})), wire.says("There, too.")]
        case _:
            return [wire.says("You are welcome.")]


@asynccontextmanager
async def providers(wires: Sequence[Wire]) -> AsyncIterator[dict[str, ScriptedServer]]:
    """Open each provider, with what it says in the turns that are its own."""
    async with AsyncExitStack() as stack:
        servers = {}
        for wire in dict.fromkeys(wires):
            answers = [
                answer
                for turn, each in enumerate(wires)
                if each is wire
                for answer in script(wire, turn)
            ]
            servers[wire.name] = await stack.enter_async_context(wire.open(answers))
        yield servers


MAIN = [WIRES[name] for name in ("chat completions", "anthropic", "openai responses")]
ALONE = [(wire, wire, wire) for wire in WIRES.values()]
MIXED = [wires for wires in product(MAIN, repeat=3) if len(set(wires)) > 1]


@pytest.mark.parametrize(
    "wires", [*ALONE, *MIXED], ids=lambda wires: ", ".join(wire.name for wire in wires)
)
async def test_a_conversation_of_three_turns(wires: tuple[Wire, ...]) -> None:
    messages: tuple[AnyMessage, ...] = ()
    usage = Usage()
    async with providers(wires) as servers, open_runtime() as runtime:
        for wire, said in zip(wires, TURNS, strict=True):
            server = servers[wire.name]
            before = len(server.requests)
            agent = Agent(model=wire.model(server.base_url), tools=[look], instructions="Be kind.")
            run = await runtime.start(agent, messages=[*messages, said])
            try:
                result = await run.wait()
            except RunFailed as exc:
                pytest.fail(f"{wire.name}: {exc}")
            assert wire.image(server.requests[-1]) == PNG
            assert all(map(wire.brings_back, server.requests[before + 1 :]))
            messages = result.messages
            usage += result.usage
    assert sum(len(server.requests) for server in servers.values()) == 6
    assert [message.content for message in messages if isinstance(message, ToolMessage)] == [
        "Oslo: snow",
        "Rome: snow",
        "Bern: snow",
        "Kiew: snow",
    ]
    spoken = [message for message in messages if isinstance(message, AssistantMessage)]
    assert [message.content for message in spoken] == [
        "",
        "",
        "It snows in Oslo.",
        "",
        "There, too.",
        "You are welcome.",
    ]
    assert [message.reasoning for message in spoken if message.tool_calls] == [
        "two of them",
        "one more",
        "there",
    ]
    ids = [call.id for message in spoken for call in message.tool_calls]
    assert len(set(ids)) == 4
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (60, 30, 90)
    assert usage.cached_input_tokens == 24


@pytest.mark.parametrize("wire", WIRES.values(), ids=lambda wire: wire.name)
async def test_a_sub_agent_with_tools_of_its_own(wire: Wire) -> None:
    """Its calls' ids are longer than providers make them, and what is wanted back goes back."""
    long = "call_abcdefghijklmnopqrstuvwx"
    answers = [
        wire.acts("somebody knows", (long, "inner", {"prompt": "Look."})),
        wire.acts(
            "outside", (long, "look", {"city": "Oslo"}), (f"{long}2", "look", {"city": "Rome"})
        ),
        wire.acts("again", (long, "look", {"city": "Bern"})),
        wire.says("Snow."),
        wire.says("It snows."),
    ]
    async with wire.open(answers) as server:
        model = wire.model(server.base_url)
        inner = Agent(model=model, name="inner", tools=[look])
        agent = Agent(model=model, tools=[inner.as_tool()])
        result = await agent.run("Does it snow?")
        assert result.text == "It snows."
        assert all(map(wire.brings_back, server.requests[2:]))
    assert len(server.requests) == 5
    assert [m.content for m in result.messages if isinstance(m, ToolMessage)] == ["Snow."]


async def result_of_failed(path: Path, run_id: str) -> Result:
    async with open_runtime(store=SQLiteStore(path)) as runtime:
        run = await runtime.find(run_id)
        with pytest.raises(RunFailed, match="worker-lost") as caught:
            await run.wait()
        assert caught.value.result is not None
        return caught.value.result


async def start_and_kill(path: Path, urls: dict[str, str]) -> dict[str, str]:
    """Start a run on each wire, and kill the server when all have called their tools."""
    run_ids: dict[str, str] = {}
    options = ("--port", "0", "--agent", "wires_agents:agents", "--store", f"sqlite:{path}")
    env = {"PYTHONPATH": KITS, "WIRES": json.dumps(urls)}

    async def follow(client: Any, name: str) -> None:
        run_id = run_ids[name] = await client.start(messages=[SHOW], agent=name.replace(" ", "-"))
        async with client.subscribe(run_id) as events:
            async for event in events:
                # All of one commit: calls that follow are in the log, too.
                if '"type":"tool-call"' in event.data:
                    return

    async with open_process("serve", *options, cwd=path.parent, **env) as server:
        async with open_client(await server.url()) as client, trio.open_nursery() as nursery:
            for name in urls:
                nursery.start_soon(follow, client, name)
        await server.kill()
    return run_ids


async def test_what_is_killed_between_an_answer_and_its_tools_loses_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    with trio.fail_after(PATIENCE):
        async with AsyncExitStack() as stack:
            servers = {
                name: await stack.enter_async_context(
                    wire.open(
                        [
                            wire.acts("hm", ("a", "look", {"city": "Oslo"})),
                            wire.says("I can't tell."),
                        ]
                    )
                )
                for name, wire in WIRES.items()
            }
            urls = {name: server.base_url for name, server in servers.items()}
            run_ids = await start_and_kill(path, urls)
            for name, wire in WIRES.items():
                left = await result_of_failed(path, run_ids[name])
                assert left.messages[0] == SHOW
                _, said, outcome = left.messages
                assert isinstance(said, AssistantMessage)
                assert said.reasoning == "hm"
                assert isinstance(outcome, ToolMessage)
                assert outcome.status == "unknown"
                assert left.usage == Usage(10, 5, 15, 4, left.usage.reasoning_tokens)
                # Another run goes on from there, as the provider wants it.
                agent = Agent(model=wire.model(urls[name]), tools=[look])
                result = await agent.run(messages=left.messages)
                assert result.text == "I can't tell."
                asked = [each for each in servers[name].requests if each.method == "POST"]
                assert len(asked) == 2
                assert wire.brings_back(asked[1])


def busy(_: Any) -> Any:
    return [status(503, body={"error": {"message": "Overloaded"}})]


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in permutations(WIRES.values(), 2) if pair[1] in MAIN],
    ids=lambda wire: wire.name,
)
async def test_a_tool_loop_that_another_model_goes_on_with(first: Wire, second: Wire) -> None:
    # The one fails at its second step. Whether it takes what the other called is its own affair:
    # if it doesn't, the other goes on.
    oslo, rome = ("a", "look", {"city": "Oslo"}), ("a", "look", {"city": "Rome"})
    one_says = [first.acts("hm", oslo), busy, first.says("It snows.")]
    other_says = [second.acts("so", rome), second.says("It snows.")]
    async with first.open(one_says) as one, second.open(other_says) as other:
        model = FallbackModel(first.model(one.base_url), second.model(other.base_url))
        result = await Agent(model=model, tools=[look]).run("Where does it snow?")
    assert result.text == "It snows."
    outputs = [each.content for each in result.messages if isinstance(each, ToolMessage)]
    assert outputs == ["Oslo: snow", "Rome: snow"]
    assert len(one.requests) == 3


@pytest.mark.parametrize("name", [name for name in WIRES if WIRES[name] not in MAIN])
async def test_a_tool_loop_that_only_who_began_it_can_go_on_with(name: str) -> None:
    # These want something back with each call of the loop, which no other model gave.
    first, second = WIRES["chat completions"], WIRES[name]
    one_says = [first.acts("hm", ("a", "look", {"city": "Oslo"})), busy]
    async with first.open(one_says) as one, second.open([]) as other:
        model = FallbackModel(first.model(one.base_url), second.model(other.base_url))
        limits = Limits(model_retries=0)
        with pytest.raises(RunFailed, match="bad-request"):
            await Agent(model=model, tools=[look], limits=limits).run("Where does it snow?")


async def test_deepseek_goes_on_behind_what_another_model_called() -> None:
    first, second = WIRES["deepseek"], WIRES["anthropic"]
    oslo, rome = ("a", "look", {"city": "Oslo"}), ("b", "look", {"city": "Rome"})
    one_says = [first.acts("hm", oslo), busy, first.says("It snows.")]
    async with first.open(one_says) as one, second.open([second.acts("so", rome)]) as other:
        model = FallbackModel(first.model(one.base_url), second.model(other.base_url))
        result = await Agent(model=model, tools=[look]).run("Where does it snow?")
    assert result.text == "It snows."
    assert len(other.requests) == 1
