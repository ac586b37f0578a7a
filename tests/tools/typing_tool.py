"""Checked by mypy and pyright, never run: `tool` keeps parameter and result types."""

import functools
from typing import Any, assert_type

from trio_agent.tools._tool import Tool, as_tool, tool


@tool
async def bare(city: str, *, days: int = 1) -> float:
    return 0.0


@tool(deadline=10, name="called")
def called(n: int) -> list[str]:
    return [str(n)]


class Service:
    async def method(self, x: int) -> str:
        return str(x)


async def check() -> None:
    assert_type(await bare("Oslo", days=2), float)
    assert_type(called(1), list[str])
    assert_type(await tool(Service().method, name="m")(1), str)
    assert_type(tool(functools.partial(len, "x"))(), int)
    assert_type(as_tool(bare), Tool[..., Any])
    assert_type(as_tool(len), Tool[..., Any])
    assert_type(bare.parse("{}"), dict[str, Any])

    await bare(1)  # type: ignore[arg-type]
    called("1")  # type: ignore[arg-type]
    called(1, 2)  # type: ignore[call-arg]
    tool(3)  # type: ignore[call-overload]
    tool(len, deadline="1")  # type: ignore[call-overload]
