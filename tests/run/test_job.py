"""What a run is ordered to do."""

import attrs

from trio_agent._config import AgentConfig
from trio_agent._run.job import NO_DEPS, Order
from trio_agent.testing import ScriptedModel

AGENT = AgentConfig(model=ScriptedModel())


def test_no_dependencies_are_not_none() -> None:
    order = Order(AGENT)
    assert order.deps is NO_DEPS
    assert attrs.evolve(order, deps=None).deps is None
    assert (order.on_disconnect, order.principal) == ("continue", None)


def test_dependencies_show_nowhere() -> None:
    assert "s3cret" not in repr(Order(AGENT, deps="s3cret"))
