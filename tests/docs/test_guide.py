"""docs/guide.md: an agent with all that it may have, on scripted providers."""

import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

pytest.importorskip("mcp", reason="pip install 'trio-agent[mcp]'")

from log_kit import check_log
from process_kit import open_process
from program_kit import EXAMPLES, REPOSITORY, run_against, serving_against
from proxy_kit import open_proxy
from server_kit import SOON

from trio_agent import (
    ModelSwitch,
    Nested,
    OutputRetry,
    PartialOutput,
    TextDelta,
    ToolResult,
    UnknownRun,
)
from trio_agent.client import Client, RemoteEvent, open_client
from trio_agent.testing import anthropic, openai_responses as openai
from trio_agent.testing.anthropic import ScriptedServer, tool_use

PAGE = (REPOSITORY / "docs" / "guide.md").read_text()
NAMES = ("support/support_desk", "support/parcels", "support/decide")
DESK, PARCELS, DECIDE = (EXAMPLES / f"{name}.py" for name in NAMES)
SERVER, FOLLOW = (EXAMPLES / f"{name}.py" for name in ("support/desk_server", "support/follow"))
PROMPT = "My kettle broke in June. The order is A7."
VERDICT = {"order": "A7", "refund": 40, "reason": "It broke within two years."}
ANN, BOB = "9f1c7b1e5a", "4d02c8e6f7"

# The tool of a server and a sub-agent are called side by side.
LOOK: list[anthropic.Answer] = [
    [
        anthropic.start(612),
        tool_use("t1", "find_order", '{"number": "A7"}'),
        anthropic.finish("tool_use", 41),
    ],
    [
        anthropic.start(675),
        tool_use("t2", "track", '{"parcel": "P-31"}'),
        tool_use("t3", "lawyer", '{"prompt": "May a kettle break?"}'),
        anthropic.finish("tool_use", 83),
    ],
    [anthropic.start(28), anthropic.text("Not within two years."), anthropic.finish("end_turn", 9)],
]
# It has begun, and has said nothing.
FAIL: anthropic.Answer = [anthropic.start(30), anthropic.ping(), anthropic.error()]


def decide(**changes: Any) -> list[str]:
    text = json.dumps({**VERDICT, **changes})
    return [text[:25], text[25:45], text[45:70], text[70:]]


@attrs.frozen
class Providers:
    """The two providers, and how a program finds them."""

    anthropic: ScriptedServer
    openai: ScriptedServer

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "ANTHROPIC_BASE_URL": self.anthropic.base_url,
            "ANTHROPIC_API_KEY": "sk-ant-test",
            "OPENAI_BASE_URL": self.openai.base_url,
            "OPENAI_API_KEY": "sk-test",
        }

    def bodies(self) -> list[Mapping[str, Any]]:
        """What Anthropic was asked."""
        return [request.body for request in self.anthropic.requests if request.method == "POST"]


@asynccontextmanager
async def providers(
    first: anthropic.Script, second: openai.ResponseScript = ()
) -> AsyncIterator[Providers]:
    with trio.fail_after(3 * SOON):
        async with (
            anthropic.open_scripted_anthropic(first) as one,
            openai.open_scripted_responses(second) as other,
        ):
            yield Providers(one, other)


@asynccontextmanager
async def desk(
    first: anthropic.Script, second: openai.ResponseScript, folder: Path
) -> AsyncIterator[tuple[str, Providers]]:
    """Run the server of the page; yield its address."""
    async with (
        providers(first, second) as scripted,
        serving_against(scripted.env, SERVER, folder) as line,
    ):
        yield line.strip(), scripted


async def read(client: Client, run_id: str, after: str = "") -> list[RemoteEvent]:
    async with client.subscribe(run_id, after=after) as events:
        return [event async for event in events]


def said_below(event: Any) -> str | None:
    """What a sub-agent says in this event."""
    below = event.event if isinstance(event, Nested) else None
    return below.delta if isinstance(below, TextDelta) else None


def shown(program: str, output: str) -> None:
    """Check that the page shows this output, but for how often the answer was looked at."""
    [page] = [part for part in PAGE.split("```console\n")[1:] if part.startswith(f"$ {program}")]
    lines = page.partition("```")[0].splitlines()[1:]
    seen = output.splitlines()
    assert [line for line in lines if line in seen or not line.startswith("...")] == seen
    assert f"... {VERDICT}" in seen


async def test_decide(tmp_path: Path) -> None:
    async with providers([*LOOK, FAIL], [openai.output(*decide())]) as scripted:
        output = await run_against({**scripted.env, "CUSTOMER": "ann"}, DECIDE, tmp_path)
        shown("CUSTOMER=ann python decide.py", output)
        system = scripted.bodies()[0]["system"]
        assert system.startswith("Decide on the complaint of ann.")
        [results] = [m["content"] for m in scripted.bodies()[-1]["messages"][-1:]]
        assert "kettle" in json.dumps(scripted.bodies()[1]["messages"])
        assert [result["content"] for result in results] == [
            '{"result":"P-31: handed over on 2 May"}',
            "Not within two years.",
        ]


async def test_follow(tmp_path: Path) -> None:
    """The program of the page is cut off some times, and tells the same."""
    async with desk([*LOOK, FAIL], [openai.output(*decide())], tmp_path) as (url, scripted):
        async with open_proxy(int(url.rpartition(":")[2])) as proxy:
            proxy.cuts = chain([1500, 900, 1300, 1700, 1100], repeat(10**9))
            output = await run_against(scripted.env, FOLLOW, tmp_path, proxy.url, ANN)
            assert proxy.connections >= 3
        shown("python follow.py", output)


async def test_cut_and_resumed(tmp_path: Path) -> None:
    """Whatever a viewer has missed, it gets: it sees the log, and so the same partial values."""
    async with (
        desk([*LOOK, FAIL], [openai.output(*decide())], tmp_path) as (url, _),
        open_client(url, token=ANN) as client,
    ):
        run_id = await client.start(PROMPT)
        whole = await read(client, run_id)
        async with open_proxy(int(url.rpartition(":")[2])) as proxy:
            proxy.cuts = chain(range(700, 2000, 100), repeat(10**9))
            async with (
                open_client(proxy.url, token=ANN) as unlucky,
                unlucky.subscribe(run_id) as events,
            ):
                pieces = [event async for event in events]
                assert events.reconnects >= 3
        assert pieces == whole
        for event in whole[:: max(1, len(whole) // 8)]:
            rest = await read(client, run_id, after=event.cursor)
            assert rest == whole[whole.index(event) + 1 :]
        result = await client.result(run_id)

    events = [event.event for event in whole]
    check_log(events)
    partial, values = PartialOutput(), []
    for event in events:
        assert event is not None
        if partial.add(event):
            values.append(partial.value)
    assert len(values) > 1
    assert values[-1] == VERDICT
    for before, after in pairwise(values):
        assert set(before) <= set(after)
    [switch] = [event for event in events if isinstance(event, ModelSwitch)]
    assert (switch.from_, switch.to) == ("claude-sonnet-4-5", "gpt-5-mini")
    assert any(isinstance(event, Nested) for event in events)
    assert result is not None
    assert result.output == VERDICT


async def test_cancelled(tmp_path: Path) -> None:
    """The receipt covers the sub-agent, in the middle of its answer, and the server's tool."""
    hanging = [anthropic.text("Not "), anthropic.pause(trio.Event())]
    async with (
        desk([*LOOK[:2], hanging], [], tmp_path) as (url, scripted),
        open_client(url, token=ANN) as client,
    ):
        run_id = await client.start(PROMPT)
        seen: list[Any] = []
        async with client.subscribe(run_id) as events:
            async for remote in events:
                seen.append(remote.event)
                if said_below(remote.event) == "Not ":
                    receipt = await client.cancel(run_id)
                    assert receipt is not None
                    assert receipt.outcome == "cancelled"
                    assert receipt.abandoned == ()
        check_log(seen)
        results = {e.tool.id: e.tool for e in seen if isinstance(e, ToolResult)}
        assert (results["t3"].status, results["t3"].output) == (
            "cancelled",
            "cancelled before it finished",
        )
        assert receipt.last_offset == int(remote.cursor.rpartition(".")[2])
        assert len(scripted.bodies()) == 3


async def test_principals(tmp_path: Path) -> None:
    """The deps are those of who asks, as the hook says, and so is the run."""
    script: anthropic.Script = [
        [tool_use("t1", "find_order", '{"number": "A7"}'), anthropic.finish("tool_use")],
        anthropic.output(*decide(order="B2", refund=25)),
        anthropic.output(*decide(order="B2", refund=20)),
    ]
    async with desk(script, [], tmp_path) as (url, scripted):
        async with open_client(url, token=BOB) as client:
            run_id = await client.start(PROMPT)
            events = [event.event for event in await read(client, run_id)]
            result = await client.result(run_id)
        async with open_client(url, token=ANN) as other:
            with pytest.raises(UnknownRun):
                await other.result(run_id)
        assert scripted.bodies()[0]["system"].startswith("Decide on the complaint of bob.")
    assert result is not None
    assert result.output == {**VERDICT, "order": "B2", "refund": 20}
    [refused] = [event.tool for event in events if isinstance(event, ToolResult)]
    assert (refused.status, refused.output) == ("error", "there is no order A7; there are: B2")
    [retry] = [event.message for event in events if isinstance(event, OutputRetry)]
    assert "refund 20 euros at most" in retry


async def test_command(tmp_path: Path) -> None:
    """`trio-agent serve` serves it, too: the principals are the names of the tokens."""
    for program in (DESK, PARCELS):
        shutil.copy(program, tmp_path)
    tokens = {"ann": "a-token-for-ann-1", "bob": "a-token-for-bob-2"}
    async with (
        providers([anthropic.output(*decide(refund=15))]) as scripted,
        open_process(
            "serve",
            *("--port", "0", "--agent", "support_desk:agent"),
            cwd=tmp_path,
            **{name: value for name, value in scripted.env.items() if "_API_" in name},
            ANTHROPIC_BASE_URL=scripted.anthropic.base_url,
            OPENAI_BASE_URL=scripted.openai.base_url,
            TRIO_AGENT_TOKENS=" ".join(f"{name}:{token}" for name, token in tokens.items()),
        ) as process,
        open_client(await process.url(), token=tokens["bob"]) as client,
    ):
        run_id = await client.start(PROMPT)
        await read(client, run_id)
        result = await client.result(run_id)
        assert result is not None
        assert result.output["refund"] == 15
        assert "the complaint of bob" in scripted.bodies()[0]["system"]
