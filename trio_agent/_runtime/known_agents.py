"""Who can go on with a run: the agents that a runtime knows, and what was left here.

- Agents that it was opened with go on with their runs after any death: by their names, and only if
  nothing has changed that matters (`Private.fits`).
- What was started here with something that nobody else has, an agent that has no name here or
  ready dependencies, goes on here, for as long as this process lives.
"""

from collections.abc import Iterable

from .._config import AgentConfig
from .._log.run_info import RunRecord
from .._run.job import NO_DEPS, Order
from .._run.private import Private, fingerprint_of


class KnownAgents:
    """Those of a runtime.

    Args:
        agents: whose runs it goes on with.

    Raises:
        ValueError: two have the same name.
    """

    def __init__(self, agents: Iterable[AgentConfig] = ()) -> None:
        self._by_name: dict[str, AgentConfig] = {}
        for agent in agents:
            if agent.name in self._by_name:
                raise ValueError(f"two agents are called {agent.name!r}: name=... tells them apart")
            self._by_name[agent.name] = agent
        self._orders: dict[str, Order] = {}

    def can_go_on(self, order: Order) -> bool:
        """Whether a run with this order can go on in another process that knows these agents."""
        return self._has(order) and order.declared.on_worker_lost == "continue"

    def _has(self, order: Order) -> bool:
        known, declared = self._by_name.get(order.declared.name), order.declared
        if known is None or order.deps is not NO_DEPS:
            return False
        return known is declared or fingerprint_of(known) == fingerprint_of(declared)

    def remember(self, run_id: str, order: Order) -> None:
        """A run of this process sleeps: keep what nobody else could make again."""
        if not self._has(order):
            self._orders[run_id] = order

    def forget(self, run_id: str) -> None:
        """It sleeps no more."""
        self._orders.pop(run_id, None)

    @property
    def remembered(self) -> frozenset[str]:
        """The runs of which something is kept."""
        return frozenset(self._orders)

    def order(self, record: RunRecord, private: Private) -> Order | str:
        """Return the order of a run that is to go on here, or why it can't."""
        kept = self._orders.get(record.run_id)
        if kept is not None:
            return kept
        agent = self._by_name.get(record.agent)
        if agent is None:
            return f"the agent {record.agent!r} is not known here"
        if private.ready_deps:
            return "its dependencies were those of the process that has started it"
        if not private.fits(agent):
            return f"the agent {record.agent!r} is another one now"
        return private.order(agent, record)
