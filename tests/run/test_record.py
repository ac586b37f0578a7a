"""The record of a run: what the store keeps beside its log."""

import json
import re
import time
from base64 import b64encode
from hashlib import sha256
from typing import Any

import attrs
import pytest
from record_kit import deep, made
from runtime_kit import quick

from trio_agent._agent import Agent
from trio_agent._events import ToolRequest
from trio_agent._limits import CancelAfter, Limits
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    File,
    Text,
    UserMessage,
)
from trio_agent._run.branch import NO_BRANCH, Branch
from trio_agent._run.settings import read_settings
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.testing import ScriptedModel


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


async def test_files_are_beside_it() -> None:
    parts = Text("what is it?"), File("image/png", data=b"PNG"), File("image/png", url="https://h/")
    said = UserMessage(parts), UserMessage((File("image/png", data=b"PNG"),))
    record = made(None, *said)
    assert record.blobs == {sha256(b"PNG").hexdigest(): b"PNG"}
    assert b64encode(b"PNG") not in record.private
    assert record.size == len(record.private) + 3 + len(b"{}")


def agent(**more: Any) -> Agent:
    return Agent(model=ScriptedModel(), **more)


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
        ({"settings": read_settings(None, None, [{"name": "pick"}])}, False),
        ({"branch": Branch("t")}, False),
        ({"owner": "me", "claims": {"plan": "free"}}, True),
        # How it is watched, who asks with which key, and what the agent is like by now
        ({"policy": CancelAfter(5)}, True),
        ({"retractable": False}, True),
        ({"deps": object()}, True),
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


def test_the_same_file_is_the_same_request() -> None:
    said = UserMessage((File("a/b", data=b"x"),))
    first, second = (made(None, said, idempotency_key="k") for _ in range(2))
    assert first.run_id != second.run_id
    assert first.digest == second.digest


def test_nothing_is_compared_without_a_key() -> None:
    assert made().digest == ""


@pytest.mark.parametrize(
    ("branch", "same"),
    [
        (Branch("t", "r"), True),
        # What is to be done about another run is no part of what was asked for.
        (Branch("t", "r", "cancel"), True),
        (Branch("t", "s"), False),
        (Branch("t"), False),
        (Branch("t", ""), False),
        (Branch("u", "r"), False),
        (NO_BRANCH, False),
    ],
)
def test_a_key_is_for_a_place_in_a_thread(branch: Branch, same: bool) -> None:
    first, second = (
        made(None, UserMessage("hi"), idempotency_key="k", branch=each)
        for each in (Branch("t", "r"), branch)
    )
    assert (first.digest == second.digest) is same


def test_a_request_outside_of_threads_has_the_digest_that_it_had() -> None:
    said = UserMessage("hi")
    plain = made(None, said, idempotency_key="k").digest
    assert made(None, said, idempotency_key="k", branch=NO_BRANCH).digest == plain
    assert plain == sha256(b'["quick",[{"content":"hi","role":"user"}],{}]').hexdigest()


def test_a_thread_is_in_the_record_and_its_head_is_not_yet() -> None:
    record = made(None, UserMessage("hi"), branch=Branch("t", "r", "cancel"))
    assert (record.thread, record.follows, record.head, record.digest) == ("t", None, None, "")
