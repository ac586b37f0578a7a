"""Checked by mypy and pyright, never run: `tool` keeps types, of dependencies, too."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

import functools
from typing import Any, assert_type

from trio_agent import ClientTool, Tool, ToolContext, ask_user
from trio_agent.tools import client_tool_of
from trio_agent.tools._tool import as_tool, tool


class Base: ...


class Shop(Base): ...


class Other: ...


@tool
async def bare(city: str, *, days: int = 1) -> float:
    return 0.0


@tool(deadline=10, name="called")
def called(n: int) -> list[str]:
    return [str(n)]


@tool
async def with_shop(context: ToolContext[Shop], n: int) -> str:
    return repr(context.deps)


@tool(name="base")
def with_base(context: ToolContext[Base]) -> str:
    return repr(context.deps)


@tool
def with_any(context: ToolContext, n: int) -> str:
    return context.call_id


def is_large(context: ToolContext[Shop], amount: float) -> bool:
    return amount > 100


async def later(context: ToolContext[Shop], amount: float) -> bool:
    return True


def no_answer(context: ToolContext[Shop], amount: float) -> str:
    return ""


@tool(approval=is_large, retry_safe=True)
async def refund(context: ToolContext[Shop], amount: float) -> str:
    return repr(amount)


@tool(approval=lambda context, n, **_: n > 1)
def counted(n: int) -> int:
    return n


class Service:
    async def method(self, x: int) -> str:
        return str(x)

    def with_shop(self, context: ToolContext[Shop], x: int) -> str:
        return str(x)


async def check() -> None:
    assert_type(await bare("Oslo", days=2), float)
    assert_type(called(1), list[str])
    assert_type(await tool(Service().method, name="m")(1), str)
    assert_type(tool(functools.partial(len, "x"))(), int)
    assert_type(as_tool(bare), Tool[Any])
    assert_type(as_tool(len), Tool[Any])
    assert_type(bare.parse("{}"), dict[str, Any])
    assert_type(await with_shop(ToolContext(deps=Shop()), 1), str)
    assert_type(with_base(ToolContext(deps=Shop())), str)
    with_any(ToolContext(), 1)
    assert_type(await called.call({}, ToolContext()), Any)
    assert_type(await refund(ToolContext(deps=Shop()), 1), str)
    assert_type(counted(1), int)
    assert_type(tool(counted.function, approval=True)(1), int)
    assert_type(ask_user(), ClientTool)

    await bare(1)  # type: ignore[arg-type]
    called("1")  # type: ignore[arg-type]
    called(1, 2)  # type: ignore[call-arg]
    tool(3)  # type: ignore[call-overload]
    tool(len, deadline="1")  # type: ignore[call-overload]
    tool(approval=later)  # type: ignore[arg-type]
    tool(approval=no_answer)  # type: ignore[arg-type]
    tool(len, approval="always")  # type: ignore[call-overload]
    tool(len, retry_safe=1)  # type: ignore[call-overload]
    client_tool_of(3)  # type: ignore[arg-type]
    ClientTool("show", schema=3)  # type: ignore[arg-type]
    await with_shop(ToolContext(deps=Other()), 1)  # type: ignore[arg-type]
    await with_shop(1)  # type: ignore[call-arg, arg-type]


def check_deps() -> None:
    """A tool serves dependencies that are what it needs, or more."""
    method = tool(Service().with_shop)
    assert_type(method(ToolContext(deps=Shop()), 1), str)
    for_shop: Tool[Shop] = with_shop
    for_shop = method
    for_shop = with_base
    for_shop = bare
    for_shop = with_any
    for_shop = refund
    for_shop = ask_user()
    for_all: Tool[object] = bare
    for_all = ClientTool("show", schema={"type": "object"}, strict=True)
    for_all = refund  # type: ignore[assignment]
    for_all = with_shop  # type: ignore[assignment]
    for_base: Tool[Base] = with_shop  # type: ignore[assignment]
    print(for_shop, for_all, for_base)
