"""What a source of tools has to say for itself. How runs use them: see tests/run/test_episode."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from trio_agent._agent import Agent
from trio_agent.testing import ScriptedModel
from trio_agent.tools._contract import Tool
from trio_agent.tools._source import OpenTools, ToolSource


class Nothing(ToolSource, OpenTools):
    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenTools]:
        yield self

    def fingerprint(self) -> str:
        return "nothing"

    async def list_tools(self) -> Sequence[Tool[Any]]:
        return []


def test_by_default_a_runtime_shares_it() -> None:
    assert Nothing().scope == "runtime"


def test_by_default_its_tools_wait_for_nobody() -> None:
    assert Nothing().may_wait is False


def test_a_source_is_no_list_of_tools() -> None:
    assert Agent(model=ScriptedModel(), sources=[Nothing()]).sources[0].fingerprint() == "nothing"
    with pytest.raises(TypeError, match="is no ToolSource; a single tool goes into tools"):
        Agent(model=ScriptedModel(), sources=[[]])  # type: ignore[list-item]


@pytest.mark.parametrize("kind", [ToolSource, OpenTools])
def test_what_is_missing_is_told_where_it_is_made(kind: Any) -> None:
    with pytest.raises(TypeError, match="abstract"):
        type("Half", (kind,), {})()
