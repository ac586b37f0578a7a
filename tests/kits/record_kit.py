"""Records of runs, as they are made when one starts."""

from typing import Any

from runtime_kit import quick

from trio_agent._agent import Agent
from trio_agent._limits import OnDisconnect
from trio_agent._log.run_info import RunRecord
from trio_agent._messages import AnyMessage
from trio_agent._run.job import NO_DEPS, Order
from trio_agent._run.record import make_record
from trio_agent._run.settings import RunSettings
from trio_agent.tools._context import Principal


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def made(
    agent: Agent | None = None,
    *said: AnyMessage,
    policy: OnDisconnect = "continue",
    owner: str | None = None,
    claims: dict[str, Any] | None = None,
    deps: Any = NO_DEPS,
    retractable: bool = True,
    settings: RunSettings | None = None,
    **more: Any,
) -> RunRecord:
    declared, settings = agent or quick(), settings or RunSettings()
    order = Order(
        settings.over(declared),
        declared=declared,
        on_disconnect=policy,
        principal=None if owner is None else Principal(owner, claims or {}),
        deps=deps,
        retractable=retractable,
    )
    return make_record(order, said, settings=settings, **more)
