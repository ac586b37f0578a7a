"""The tools of an agent, with those of its sources."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
import trio
import trio.testing

from trio_agent._run.toolset import Toolset
from trio_agent.tools._context import ToolContext
from trio_agent.tools._contract import Tool
from trio_agent.tools._source import OpenTools


class Named(Tool[Any]):
    """A tool by its name."""

    schema: ClassVar[Mapping[str, Any]] = {"type": "object"}
    description = ""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    async def call(self, arguments: Any, context: ToolContext[Any]) -> Any:
        await trio.lowlevel.checkpoint()
        return arguments, context


class Source(OpenTools):
    """Has the tools that it is told to have."""

    def __init__(self, *names: str) -> None:
        self.tools = list(map(Named, names))

    async def list_tools(self) -> Sequence[Tool[Any]]:
        await trio.lowlevel.checkpoint()
        return self.tools


async def test_without_sources_nothing_is_asked() -> None:
    own = Named("a")
    tools = Toolset({"a": own}, ())
    with trio.testing.assert_no_checkpoints():
        await tools.refresh()
    assert tools.by_name == {"a": own}
    assert tools.specs == (own.spec,)


async def test_the_first_of_a_name_is_used(caplog: pytest.LogCaptureFixture) -> None:
    own, one, two = Named("a"), Source("a", "b"), Source("b", "c")
    tools = Toolset({"a": own}, [one, two])
    for _ in range(2):
        await tools.refresh()
    assert tools.by_name == {"a": own, "b": one.tools[1], "c": two.tools[1]}
    assert [spec.name for spec in tools.specs] == ["a", "b", "c"]
    assert [record.getMessage() for record in caplog.records] == [
        f"two tools are called {name!r}: the first is used; give the source a prefix"
        for name in ("a", "b")
    ]


async def test_tools_come_and_go() -> None:
    source = Source("b")
    tools = Toolset({}, [source])
    await tools.refresh()
    source.tools = [Named("c")]
    assert list(tools.by_name) == ["b"]
    await tools.refresh()
    assert list(tools.by_name) == ["c"]
