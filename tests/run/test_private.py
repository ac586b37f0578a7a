"""What is kept of a run for whoever goes on with it."""

import json
import math
from typing import Any

import attrs
import pytest
import trio.testing
from record_kit import made
from runtime_kit import quick
from store_kit import record

from trio_agent._agent import Agent
from trio_agent._errors import UnknownBlob, UnknownRun
from trio_agent._events import ToolRequest
from trio_agent._limits import CancelAfter, Limits, OnDisconnect
from trio_agent._log.run_info import RunRecord
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    File,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from trio_agent._run.job import NO_DEPS
from trio_agent._run.private import Private, read_private, said_before
from trio_agent._run.settings import read_settings
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import ScriptedModel
from trio_agent.tools._client_tool import ClientTool
from trio_agent.tools._context import Principal

SAID: tuple[AnyMessage, ...] = (
    SystemMessage("be brief"),
    UserMessage("é \u2028"),
    AssistantMessage("look", (ToolRequest("1", "t", {"x": [1, None]}),)),
    ToolMessage("1", "no", "error"),
    AssistantMessage("so?"),
)


async def read_back(record: RunRecord) -> tuple[AnyMessage, ...]:
    store = MemoryStore()
    await store.create(record)
    return await said_before(store, record.run_id)


async def test_a_record_without_a_private_part() -> None:
    assert await read_back(record("r")) == ()


async def test_what_was_said_is_read_back() -> None:
    assert await read_back(made(None, *SAID)) == SAID


async def test_of_a_file_that_is_lost_nothing_is_made_up() -> None:
    record = attrs.evolve(made(None, UserMessage((File("a/b", data=b"x"),))), blobs={})
    with pytest.raises(UnknownBlob):
        await read_back(record)


async def test_what_models_write_is_not_bounded_as_metadata_is() -> None:
    """Numbers that a browser can't hold are for the tool, and for the model."""
    said = AssistantMessage("", (ToolRequest("1", "t", {"id": 2**70, "t": "\0"}),))
    assert await read_back(made(None, said)) == (said,)


@pytest.mark.parametrize(
    ("messages", "said", "unread"),
    [
        ('[{"role":"user","content":"a"},{"role":"robot","content":"b"}]', [UserMessage("a")], 1),
        ('[{"role":"user","content":[1]},{"role":"user","content":"b"}]', [UserMessage("b")], 1),
        (
            '[{"role":"tool","toolCallId":"1","content":"","status":"of-tomorrow"}]',
            [ToolMessage("1", "", "of-tomorrow")],
            0,
        ),
        ("[7]", [], 1),
        ("7", [], 1),
        ("[" * 5000, [], 1),
        ("\ud83d", [], 1),
    ],
    ids=["role", "content", "status", "number", "none", "deep", "no JSON"],
)
async def test_messages_of_another_version_or_damaged(
    messages: str, said: list[AnyMessage], unread: int, caplog: pytest.LogCaptureFixture
) -> None:
    private = f'{{"messages":{messages},"onDisconnect":"of-tomorrow"}}'
    read = await read_back(record("r", private=private.encode("utf-8", "surrogatepass")))
    assert list(read) == said
    warnings = [each.getMessage() for each in caplog.records]
    assert warnings == [f"run r began with {unread} messages that can't be read"] * bool(unread)


@pytest.mark.parametrize(
    ("policy", "value"), [("continue", "continue"), ("cancel", "cancel"), (CancelAfter(2.5), 2.5)]
)
def test_the_policy_is_kept(policy: OnDisconnect, value: str | float) -> None:
    assert json.loads(made(policy=policy).private)["onDisconnect"] == value


def test_what_the_agent_is_told_stays_private() -> None:
    """Its options are there, its instructions as a fingerprint."""
    model = ScriptedModel()
    agents = [
        Agent(model=model, instructions=text, options={"temperature": 1}) for text in ("aa", "bb")
    ]
    first, again, second = map(made, [agents[0], *agents])
    private = [json.loads(record.private) for record in (first, again, second)]
    assert private[0]["fingerprint"] == private[1]["fingerprint"] != private[2]["fingerprint"]
    assert private[0]["options"] == {"temperature": 1}
    assert b"aa" not in first.private.replace(private[0]["fingerprint"].encode(), b"")


def test_what_a_continuation_needs_of_the_run_itself() -> None:
    settings = read_settings({"seed": 1}, {"max_tokens": 7})
    private = json.loads(made(owner="me", claims={"plan": "free"}, settings=settings).private)
    assert private["claims"] == {"plan": "free"}
    assert private["options"] == {"seed": 1}
    assert (private["limits"]["max_tokens"], private["limits"]["run_deadline"]) == (7, None)


# Who goes on with it


async def kept_of(made: RunRecord) -> Private:
    store = MemoryStore()
    await store.create(made)
    with trio.testing.assert_checkpoints():
        private = await read_private(store, made.run_id)
    assert private is not None
    return private


@pytest.mark.parametrize("policy", ["continue", "cancel", CancelAfter(2.5), CancelAfter(3)])
@pytest.mark.parametrize("retractable", [True, False])
async def test_the_order_comes_back(policy: OnDisconnect, retractable: bool) -> None:
    picker = {"name": "pick", "description": "Pick one.", "parameters": {"type": "object"}}
    settings = read_settings({"seed": 1}, {"max_tokens": 7, "run_deadline": 60}, [picker])
    agent = attrs.evolve(quick(), options={"top_p": 1}, limits=Limits(max_steps=3))
    claims = {"plan": ["free", None]}
    first = made(
        agent,
        UserMessage("hi"),
        policy=policy,
        owner="me",
        claims=claims,
        retractable=retractable,
        settings=settings,
    )
    private = await kept_of(first)
    again = attrs.evolve(agent, limits=Limits(), options={})  # They may be others by now.
    order = private.order(again, first)
    assert order.agent.options == {"top_p": 1, "seed": 1}
    assert order.agent.limits == Limits(max_steps=3, max_tokens=7, run_deadline=60)
    assert order.agent.tools == settings.client_tools
    assert order.declared is again
    assert (order.on_disconnect, order.retractable) == (policy, retractable)
    assert order.principal == Principal("me", claims)
    assert order.deps is NO_DEPS
    assert private.fits(again)


async def test_a_run_of_nobody_is_nobodys_again() -> None:
    record = made()
    order = (await kept_of(record)).order(quick(), record)
    assert (order.principal, order.agent.tools, order.agent.options) == (None, (), {})


@pytest.mark.parametrize(("deps", "ready"), [(NO_DEPS, False), (None, True), ("db", True)])
async def test_ready_dependencies_are_told_and_not_kept(deps: Any, ready: bool) -> None:
    record = made(deps=deps)
    assert (await kept_of(record)).ready_deps is ready
    assert b"db" not in record.private


@pytest.mark.parametrize(
    "limits",
    [
        Limits(),
        Limits(run_deadline=5, tool_retries=None, answer_deadline=math.inf, max_tokens=None),
        Limits(step_deadline=2.5, retry_window=math.inf, tool_deadline=math.inf, step_retries=0),
    ],
)
async def test_limits_without_an_end_have_none_again(limits: Limits) -> None:
    private = await kept_of(made(attrs.evolve(quick(), limits=limits)))
    assert private.all_limits() == limits


def test_limits_of_other_versions() -> None:
    """Those that are not known are left out, those that were not are as they are by default."""
    assert Private(limits={"max_steps": 3, "of_tomorrow": 1}).all_limits() == Limits(max_steps=3)


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"options": {"seed": 2}}, True),
        ({"limits": Limits(max_steps=1)}, True),
        ({"model": ScriptedModel(["other"])}, True),
        ({"instructions": "other"}, False),
        ({"version": "2"}, False),
        ({"tools": [ClientTool("pick")]}, False),
    ],
)
async def test_another_agent_of_this_name(change: dict[str, Any], fits: bool) -> None:
    private = await kept_of(made(settings=read_settings(None, None, [{"name": "ask"}])))
    assert private.fits(attrs.evolve(quick(), **change)) is fits


@pytest.mark.parametrize("private", [b"7", b"[", b'{"limits":7}', b"\xff", b"[" * 5000])
async def test_what_can_not_be_understood(private: bytes) -> None:
    store = MemoryStore()
    await store.create(record("r", private=private))
    assert await read_private(store, "r") is None


async def test_there_is_nothing_of_a_run_that_is_not_there() -> None:
    with pytest.raises(UnknownRun):
        await read_private(MemoryStore(), "r")


async def test_files_go_by_their_names_where_their_data_is_not_needed() -> None:
    store = MemoryStore()
    first = made(None, UserMessage((File("a/b", data=b"x"),)))
    await store.create(first)
    [said] = await said_before(store, first.run_id, files=False)
    assert isinstance(said, UserMessage)
    [file] = said.content
    assert isinstance(file, File)
    assert file.data is None
    assert file.blob is not None
