"""An agent as a tool of another one."""

from typing import Any

import attrs

from ._approval import Approval
from ._context import ToolContext
from ._contract import Tool
from ._tool import tool


def agent_tool(
    agent: Any,
    *,
    name: str,
    description: str,
    deadline: float,
    approval: Approval,
    retry_safe: bool,
) -> Tool[Any]:
    """Make a tool of an agent: see `Agent.as_tool`."""

    async def ask(context: ToolContext[Any], prompt: str) -> Any:
        """Ask.

        Args:
            context: of the call.
            prompt: What is to be done, with all that must be known for it: nothing else is seen.
        """
        run_agent = context._run_agent  # noqa: SLF001 - it is for us, and nobody else's
        if run_agent is None:
            raise RuntimeError("a sub-agent works in the run of an agent: there is none")
        return await run_agent(agent, prompt)

    made = tool(
        ask,
        name=name,
        description=description,
        deadline=deadline,
        approval=approval,
        retry_safe=retry_safe,
    )
    return attrs.evolve(made, agent=agent)
