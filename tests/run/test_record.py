"""The record of a run: what the store keeps beside its log."""

import json
import re
import time
from typing import Any

import pytest
from runtime_kit import quick
from store_kit import record

from trio_agent._agent import Agent
from trio_agent._events import ToolRequest
from trio_agent._limits import CancelAfter, OnDisconnect
from trio_agent._log.store import RunRecord
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from trio_agent._run.record import make_record, said_before
from trio_agent._runtime.open_runtime import open_runtime
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
        assert (record.agent, record.owner, record.metadata) == ("quick", "me", {"n": 1})
        assert len(run.id) == 32
        private = json.loads(record.private)
        assert private["messages"] == [{"role": "user", "content": "hi"}]
        assert private["onDisconnect"] == 30
        assert len(private["fingerprint"]) == 64


def test_a_record_without_a_private_part() -> None:
    assert said_before(record("r")) == ()


def test_what_was_said_is_read_back() -> None:
    assert said_before(made(None, *SAID)) == SAID


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
        ({"agent": Agent(model=ScriptedModel(["a"]), name="other")}, False),
        ({"metadata": {"a": 1, "b": [2]}}, False),
        ({"metadata": {"b": [1], "a": 1}}, True),
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


def test_nothing_is_compared_without_a_key() -> None:
    assert made().digest == ""
