"""The record of a run: what the store keeps beside its log."""

import json
import re
import time
from base64 import b64encode
from hashlib import sha256
from typing import Any

import attrs
import pytest
from runtime_kit import quick
from store_kit import record

from trio_agent._agent import Agent
from trio_agent._errors import UnknownBlob
from trio_agent._events import ToolRequest
from trio_agent._limits import CancelAfter, Limits, OnDisconnect
from trio_agent._log.run_info import RunRecord
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    File,
    SystemMessage,
    Text,
    ToolMessage,
    UserMessage,
)
from trio_agent._run.record import make_record, said_before
from trio_agent._run.settings import read_settings
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import ScriptedModel

SAID: tuple[AnyMessage, ...] = (
    SystemMessage("be brief"),
    UserMessage("é \u2028"),
    AssistantMessage("look", (ToolRequest("1", "t", {"x": [1, None]}),)),
    ToolMessage("1", "no", "error"),
    AssistantMessage("so?"),
)


def made(
    agent: Agent | None = None, *said: AnyMessage, policy: OnDisconnect = "continue", **more: Any
) -> RunRecord:
    given = {"owner": None, "metadata": {}, "idempotency_key": None, **more}
    return make_record(agent or quick(), said, policy, **given)


async def test_the_record() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(
            quick(), "hi", owner="me", metadata={"n": 1}, on_disconnect=CancelAfter(30)
        )
        record = (await runtime.store.info(run.id)).record
        [kept] = await runtime.store.read_private(run.id, [0])
        assert (record.agent, record.owner, record.metadata) == ("quick", "me", {"n": 1})
        assert len(run.id) == 32
        private = json.loads(kept)
        assert private["messages"] == [{"role": "user", "content": "hi"}]
        assert private["onDisconnect"] == 30
        assert len(private["fingerprint"]) == 64


async def read_back(record: RunRecord) -> tuple[AnyMessage, ...]:
    store = MemoryStore()
    await store.create(record)
    return await said_before(store, record.run_id)


async def test_a_record_without_a_private_part() -> None:
    assert await read_back(record("r")) == ()


async def test_what_was_said_is_read_back() -> None:
    assert await read_back(made(None, *SAID)) == SAID


async def test_files_are_beside_it() -> None:
    parts = Text("what is it?"), File("image/png", data=b"PNG"), File("image/png", url="https://h/")
    said = UserMessage(parts), UserMessage((File("image/png", data=b"PNG"),))
    record = made(None, *said)
    assert record.blobs == {sha256(b"PNG").hexdigest(): b"PNG"}
    assert b64encode(b"PNG") not in record.private
    assert record.size == len(record.private) + 3 + len(b"{}")
    assert await read_back(record) == said


async def test_of_a_file_that_is_lost_nothing_is_made_up() -> None:
    record = attrs.evolve(made(None, UserMessage((File("a/b", data=b"x"),))), blobs={})
    with pytest.raises(UnknownBlob):
        await read_back(record)


def agent(**more: Any) -> Agent:
    return Agent(model=ScriptedModel(), **more)


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("said", "more", "why"),
    [
        ([], {"metadata": deep(980)}, "^metadata is nested more than 100 levels deep"),
        ([], {"metadata": {"id": 2**60}}, "^metadata has an integer .*: give it as text"),
        ([], {"metadata": {"n": float("nan")}}, "^metadata has the number nan"),
        ([], {"metadata": {"t": "\ud83d"}}, "^metadata has half a surrogate pair"),
        ([], {"metadata": {"x": object()}}, "^metadata has a object"),
        ([], {"owner": "\ud83d"}, "^the owner has half"),
        ([], {"idempotency_key": "\ud83d"}, "^the idempotency key has half"),
        ([], {"agent": agent(name="\ud83d")}, "^the agent's name has half"),
        (
            [],
            {"agent": agent(instructions="\ud83d")},
            "configuration, has half",
        ),
        (
            [],
            {"agent": agent(options={"a": deep(200)})},
            "options.* nested too deeply",
        ),
        ([UserMessage("\ud83d")], {}, "^a message, .* has half"),
        ([AssistantMessage("", (ToolRequest("1", "t", "\ud83d"),))], {}, "^a message, .* has half"),
        ([AssistantMessage("", (ToolRequest("1", "t", deep(200)),))], {}, "nested too deeply"),
        ([AssistantMessage("", provider=deep(200))], {}, "nested too deeply"),
    ],
)
async def test_what_could_not_be_read_back_is_refused(
    said: list[AnyMessage], more: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        made(more.pop("agent", None), *said, **more)


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


def test_each_run_has_an_id_and_an_epoch_of_its_own() -> None:
    records = [made() for _ in range(10)]
    assert len({record.run_id for record in records}) == 10
    assert len({record.epoch for record in records}) == 10
    assert all(re.fullmatch("[0-9a-f]{32}", record.run_id) for record in records)
    assert all(re.fullmatch("[0-9a-f]{8}", record.epoch) for record in records)


def test_it_tells_when_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    assert before <= made().created_at <= time.time_ns() // 1_000_000


def test_what_is_given_is_kept_as_it_was() -> None:
    metadata = {"n": 1}
    record = made(owner="me", metadata=metadata, idempotency_key="k")
    metadata["n"] = 2
    assert (record.owner, record.metadata, record.idempotency_key) == ("me", {"n": 1}, "k")
    assert record.agent == "quick"


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


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        # What was asked for
        ({"said": (UserMessage("ho"),)}, False),
        ({"said": (UserMessage("hi"), UserMessage("hi"))}, False),
        ({"said": (AssistantMessage("hi"),)}, False),
        ({"said": (UserMessage((File("a/b", data=b"x"),)),)}, False),
        ({"agent": Agent(model=ScriptedModel(["a"]), name="other")}, False),
        ({"metadata": {"a": 1, "b": [2]}}, False),
        ({"metadata": {"b": [1], "a": 1}}, True),
        ({"settings": read_settings({"seed": 1}, None)}, False),
        ({"settings": read_settings(None, {"max_tokens": 1})}, False),
        ({"settings": read_settings({}, {})}, True),
        ({"claims": {"plan": "free"}}, True),
        # How it is watched, who asks with which key, and what the agent is like by now
        ({"policy": CancelAfter(5)}, True),
        ({"owner": "you"}, True),
        ({"agent": Agent(model=ScriptedModel(["b"]), name="quick", instructions="new")}, True),
    ],
)
def test_a_key_belongs_to_what_was_asked_for(changes: dict[str, Any], same: bool) -> None:
    def digest(
        agent: Agent | None = None,
        said: tuple[AnyMessage, ...] = (UserMessage("hi"),),
        **more: Any,
    ) -> str:
        return made(
            agent, *said, **{"metadata": {"a": 1, "b": [1]}, "idempotency_key": "k", **more}
        ).digest

    assert re.fullmatch("[0-9a-f]{64}", digest())
    assert (digest() == digest(**changes)) is same


def test_a_request_of_an_earlier_version_has_the_digest_that_it_had() -> None:
    record = made(None, UserMessage("hi"), metadata={"a": 1}, idempotency_key="k")
    asked = b'["quick",[{"content":"hi","role":"user"}],{"a":1}]'
    assert record.digest == sha256(asked).hexdigest()


def test_settings_in_another_order_or_form_are_the_same_request() -> None:
    forms = [
        read_settings({"a": 1, "b": 2}, Limits(max_steps=5)),
        read_settings({"b": 2, "a": 1}, attrs.asdict(Limits(max_steps=5))),
    ]
    first, second = (made(idempotency_key="k", settings=settings) for settings in forms)
    assert first.digest == second.digest


def test_what_a_continuation_needs_of_the_run_itself() -> None:
    settings = read_settings({"seed": 1}, {"max_tokens": 7})
    private = json.loads(made(settings.over(quick()), claims={"plan": "free"}).private)
    assert private["claims"] == {"plan": "free"}
    assert private["options"] == {"seed": 1}
    assert (private["limits"]["max_tokens"], private["limits"]["run_deadline"]) == (7, None)


def test_the_same_file_is_the_same_request() -> None:
    said = UserMessage((File("a/b", data=b"x"),))
    first, second = (made(None, said, idempotency_key="k") for _ in range(2))
    assert first.run_id != second.run_id
    assert first.digest == second.digest


def test_nothing_is_compared_without_a_key() -> None:
    assert made().digest == ""
