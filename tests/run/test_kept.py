"""What is kept beside an answer is what goes on with the run."""

import json
from typing import Any

import pytest

from trio_agent._errors import ModelError
from trio_agent._events import ToolRequest
from trio_agent._log.plain import UNREADABLE
from trio_agent._messages import AssistantMessage, UserMessage
from trio_agent._run.kept import decode_kept, set_aside, wanted_back, without_provider
from trio_agent.models._parts import ModelFinish


@pytest.mark.parametrize(
    ("provider", "kept"),
    [
        ({}, b""),
        ({"p": [1, None, "é"]}, '{"p":[1,null,"é"]}'.encode()),
        ({"p": ("\ud83d", 2**70)}, b'{"p":["?",1180591620717411303424]}'),
    ],
)
def test_both_have_the_same(provider: Any, kept: bytes) -> None:
    finish, private = set_aside(ModelFinish("stop", model="m", provider=provider))
    assert private == kept
    assert finish.provider == (decode_kept(kept) if kept else {})
    assert (finish.reason, finish.model) == ("stop", "m")


def test_what_its_model_changes_later_changes_nothing() -> None:
    state: dict[str, Any] = {"p": []}
    finish, _ = set_aside(ModelFinish("stop", provider=state))
    state["p"].append(1)
    assert finish.provider == {"p": []}


@pytest.mark.parametrize("reason", ["length", "content-filter"])
def test_of_what_was_cut_short_nothing_is_kept(reason: Any) -> None:
    finish = ModelFinish(reason, provider={"p": 1})
    assert wanted_back(finish) == {}
    assert set_aside(finish) == (ModelFinish(reason), b"")


def test_what_could_not_be_read_back_is_refused() -> None:
    deep = json.loads("[" * 150 + "]" * 150)
    with pytest.raises(ModelError, match="nested too deeply"):
        set_aside(ModelFinish("stop", provider={"p": deep}))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 100_000])
def test_what_is_damaged_is_told(data: bytes) -> None:
    with pytest.raises(UNREADABLE):
        decode_kept(data)


def test_strangers_see_nothing_of_it() -> None:
    calls = (ToolRequest("1", "t", {}),)
    told = AssistantMessage("a", calls, "hm")
    assert without_provider(AssistantMessage("a", calls, "hm", {"p": 1})) == told
    for message in (told, UserMessage("a")):
        assert without_provider(message) is message
