"""Checked by mypy and pyright, never run: an agent knows its dependencies and its answer."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, assert_type

import attrs

from trio_agent import (
    Agent,
    AnyMessage,
    ClientTool,
    Mapped,
    Result,
    Run,
    RunContext,
    RunFacts,
    Runtime,
    ToolContext,
    ask_user,
    tool,
)


class Base: ...


class Shop(Base): ...


class Other: ...


@attrs.frozen
class Yes:
    why: str


@attrs.frozen
class No:
    why: str


@asynccontextmanager
async def open_shop(facts: RunFacts) -> AsyncIterator[Shop]:
    yield Shop()


@asynccontextmanager
async def open_other(facts: RunFacts) -> AsyncIterator[Other]:
    yield Other()


@tool
async def refund(context: ToolContext[Shop], amount: float) -> str:
    return repr(context.deps)


@tool(name="orders")
def orders(context: ToolContext[Shop]) -> int:
    return 0


@tool
def look(context: ToolContext[Base]) -> str:
    return repr(context.deps)


@tool
def add(a: int, b: int) -> int:
    return a + b


def plain(a: int) -> int:
    return a


def greet(context: RunContext[Shop]) -> str:
    return repr(context.deps)


async def approve(context: RunContext[Shop], value: Yes) -> Yes:
    return value


def last(messages: Sequence[AnyMessage]) -> Sequence[AnyMessage]:
    return messages[-1:]


TEXT = Agent(model="m")
SHOP = Agent(model="m", tools=[refund, orders, look, add, plain, len], open_deps=open_shop)
PART = Agent(model="m", tools=[refund, partial(plain, a=1)], open_deps=open_shop)
GIVEN = Agent(model="m", tools=[refund], output=Yes)
EITHER = Agent(model="m", tools=(look, add), open_deps=open_shop, output=(Yes, No))
UNION = Agent(model="m", output=Yes | No)
MANY = Agent(model="m", output=list[Yes])
ALL = Agent(
    model="m",
    name="all",
    instructions=greet,
    tools=[refund],
    open_deps=open_shop,
    output=Yes,
    output_validators=[approve],
    prepare=last,
    tool_errors="message",
    options={"temperature": 0},
    tool_choice="refund",
    version="2",
    on_worker_lost="end",
)
ASKING = Agent(
    model="m",
    tools=[refund, add, ask_user(), ClientTool("show"), TEXT.as_tool(approval=True)],
    open_deps=open_shop,
)


async def check(runtime: Runtime) -> None:
    assert_type(await TEXT.run("Hi"), Result[str])
    assert_type((await SHOP.run("Hi")).output, str)
    assert_type(PART, Agent[Shop, str])
    assert_type(ASKING, Agent[Shop, str])
    assert_type((await GIVEN.run("Hi", deps=Shop())).output, Yes)
    assert_type((await EITHER.run("Hi")).output, Yes | No)
    assert_type((await MANY.run("Hi")).output, list[Yes])
    assert_type(await runtime.start(ALL, "Hi"), Run[Yes])
    assert_type(await runtime.start(GIVEN, "Hi", deps=Shop()), Run[Yes])
    assert_type(await runtime.find("id"), Run[Any])
    async with runtime.map(EITHER, ["a"]) as results:
        assert_type(await results.receive(), Mapped[Yes | No])
    async with GIVEN.stream_output("Hi", deps=Shop()) as answer:
        assert_type(await answer.result(), Result[Yes])


async def check_what_is_wrong(runtime: Runtime) -> None:
    Agent(model="m", tools=[refund], open_deps=open_other)  # type: ignore[arg-type]
    Agent(model="m", tools=(refund, orders), open_deps=open_other)  # type: ignore[arg-type]
    Agent(model="m", tools=[add, look], open_deps=open_other, output=Yes)  # type: ignore[list-item]
    Agent(model="m", tools=[refund, plain], open_deps=open_other)  # type: ignore[list-item]
    Agent(model="m", tools=[3])  # type: ignore[list-item]
    Agent(model="m", instructions=greet, open_deps=open_other)  # type: ignore[misc]
    Agent(model="m", tool_errors="all")  # type: ignore[call-overload]
    Agent(model="m", on_worker_lost="stop")  # type: ignore[call-overload]
    Agent(model="m", version=2)  # type: ignore[call-overload]
    Agent(model="m", temprature=0)  # type: ignore[call-overload]
    Agent(name="m")  # type: ignore[call-overload]
    await GIVEN.run("Hi", deps=Other())  # type: ignore[arg-type]
    await runtime.start(GIVEN, "Hi", deps=Other())  # type: ignore[misc]
    wrong: Run[No] = await runtime.start(ALL, "Hi")  # type: ignore[arg-type]
    print(wrong)


def check_assignments() -> None:
    """What needs less serves more, and an answer is also what it is derived from."""
    for_shop: Agent[Shop, object] = TEXT
    for_shop = GIVEN
    for_other: Agent[Other, object] = GIVEN  # type: ignore[assignment]
    any_agents: list[Agent] = [TEXT, SHOP, GIVEN, UNION]
    print(for_shop, for_other, any_agents)
