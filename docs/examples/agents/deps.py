from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from trio_agent import Agent, RunContext, RunFacts, ToolContext, open_runtime, tool
from trio_agent.testing import ScriptedModel, call

BALANCES = {"ann": 100}


@attrs.define
class Account:
    """What the tools of a run work with: the account of one customer."""

    customer: str
    balance: int
    may_spend: int


@asynccontextmanager
async def open_account(facts: RunFacts) -> AsyncIterator[Account]:
    assert facts.principal is not None  # whoever starts a run here says whose it is
    name, claims = facts.principal.id, facts.principal.claims
    account = Account(name, BALANCES[name], claims.get("maySpend", 0))
    try:
        yield account
    except BaseException as exc:
        print("rolled back:", repr(exc))
        raise
    BALANCES[name] = account.balance


@tool
async def pay(context: ToolContext[Account], amount: int) -> str:
    """Pay an amount."""
    account = context.deps
    account.balance -= min(amount, account.may_spend)
    return f"{account.balance} are left"


def instructions(context: RunContext[Account]) -> str:
    return f"You pay bills for {context.deps.customer}."


model = ScriptedModel([call("c1", "pay", amount=30)], ["Paid."], [call("c2", "pay", amount=30)])
agent = Agent(model=model, instructions=instructions, tools=[pay], open_deps=open_account)


async def main() -> None:
    async with open_runtime() as runtime:
        for max_steps in (10, 1):
            run = await runtime.start(
                agent,
                "Pay 30.",
                owner="ann",
                claims={"maySpend": 50},
                limits={"max_steps": max_steps},
            )
            result = await run.wait()
            print(f"{result.finish_reason}: ann has {BALANCES['ann']}")
    print(model.requests[0].instructions)


trio.run(main)
