import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from trio_agent import (
    Agent,
    FallbackModel,
    Limits,
    RunContext,
    RunFacts,
    ToolContext,
    ToolError,
    tool,
)
from trio_agent.tools.mcp import MCPServer


@attrs.frozen
class Order:
    item: str
    paid: int
    parcel: str


@attrs.frozen
class Shop:
    """What the tools work with: the books, opened for one customer."""

    customer: str
    orders: dict[str, Order]
    may_refund: int


@attrs.frozen
class Verdict:
    """What becomes of a complaint."""

    order: str
    refund: int
    reason: str


BOOKS = {
    "ann": {"A7": Order("kettle", paid=40, parcel="P-31")},
    "bob": {"B2": Order("teapot", paid=25, parcel="P-32")},
}


@asynccontextmanager
async def open_shop(facts: RunFacts) -> AsyncIterator[Shop]:
    """Open the books, for as long as a run lasts."""
    if facts.principal is None:  # a program of our own, which nobody has logged in to
        yield Shop(os.environ["CUSTOMER"], BOOKS[os.environ["CUSTOMER"]], may_refund=100)
    else:
        name, claims = facts.principal.id, facts.principal.claims
        yield Shop(name, BOOKS[name], claims.get("mayRefund", 20))


@tool
async def find_order(context: ToolContext[Shop], number: str) -> Order:
    """Look up an order of the customer."""
    orders = context.deps.orders
    if number not in orders:
        raise ToolError(f"there is no order {number}; there are: {', '.join(orders)}")
    return orders[number]


def instructions(context: RunContext[Shop]) -> str:
    return f"Decide on the complaint of {context.deps.customer}. In doubt ask the lawyer."


def within_bounds(context: RunContext[Shop], verdict: Verdict) -> Verdict:
    if verdict.refund > context.deps.may_refund:
        raise ToolError(f"refund {context.deps.may_refund} euros at most")
    return verdict


model = FallbackModel("anthropic:claude-sonnet-4-5", "openai-responses:gpt-5-mini")
parcels = MCPServer.stdio(sys.executable, str(Path(__file__).with_name("parcels.py")))
lawyer = Agent(name="lawyer", model=model, instructions="Say what the law is, in one sentence.")
agent = Agent(
    name="support",
    model=model,
    instructions=instructions,
    tools=[find_order, lawyer.as_tool(description="Ask what the law is.")],
    sources=[parcels],
    open_deps=open_shop,
    output=Verdict,
    output_validators=[within_bounds],
    limits=Limits(max_steps=8, max_tokens=50_000),
)
