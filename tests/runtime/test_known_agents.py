"""Who can go on with which runs: by name and fingerprint, or because they were left here."""

from typing import Any

import attrs
import msgspec
import pytest
from store_kit import record

from trio_agent._agent import Agent
from trio_agent._log.run_info import RunRecord
from trio_agent._run.job import Order
from trio_agent._run.private import Private, encode_private, fingerprint_of
from trio_agent._run.settings import RunSettings, read_settings
from trio_agent._runtime.known_agents import KnownAgents
from trio_agent.testing import ScriptedModel
from trio_agent.tools._context import Principal

AGENT = Agent(model=ScriptedModel(), name="a", instructions="be kind")
OTHER = Agent(model=ScriptedModel(), name="b")


def kept(order: Order, settings: RunSettings | None = None) -> Private:
    """What the store keeps of a run with this order."""
    data = encode_private(order, settings or RunSettings(), ())
    return msgspec.json.decode(data, type=Private)


def of_agent(name: str = "a", **changes: Any) -> RunRecord:
    return record("r", agent=name, **changes)


def test_two_of_one_name() -> None:
    with pytest.raises(ValueError, match=r"^two agents are called 'a': name=\.\.\. tells"):
        KnownAgents([AGENT, OTHER, attrs.evolve(AGENT)])


@pytest.mark.parametrize(
    ("order", "can"),
    [
        (Order(AGENT), True),
        (Order(attrs.evolve(AGENT, options={"seed": 1}), declared=AGENT), True),
        (Order(OTHER), False),
        # It may be made anew for each run: what is declared alike is the same.
        (Order(attrs.evolve(AGENT)), True),
        (Order(attrs.evolve(AGENT, version="2")), False),
        (Order(AGENT, deps="a connection"), False),
        (Order(AGENT, deps=None), False),
    ],
)
def test_whether_a_run_can_go_on_elsewhere(order: Order, can: bool) -> None:
    assert KnownAgents([AGENT]).can_go_on(order) is can


def test_those_that_are_to_end_do_not_go_on() -> None:
    ending = attrs.evolve(AGENT, on_worker_lost="end")
    assert not KnownAgents([ending]).can_go_on(Order(ending))


class TestByName:
    def test_the_order_is_the_runs_with_the_agent_as_it_is_here(self) -> None:
        settings = read_settings({"seed": 2}, {"max_steps": 3}, [])
        agent = attrs.evolve(AGENT, options={"seed": 1})
        order = Order(
            settings.over(agent),
            declared=agent,
            on_disconnect="cancel",
            principal=Principal("ann", {"plan": "free"}),
            retractable=False,
        )
        here = attrs.evolve(agent, model=ScriptedModel(["here"]))
        again = KnownAgents([here]).order(of_agent(owner="ann"), kept(order, settings))
        assert isinstance(again, Order)
        assert again.declared is here
        assert again.agent.model is here.model
        assert again.agent.options == {"seed": 2}
        assert again.agent.limits.max_steps == 3
        assert (again.on_disconnect, again.retractable) == ("cancel", False)
        assert again.principal == Principal("ann", {"plan": "free"})

    @pytest.mark.parametrize(
        ("known", "order", "why"),
        [
            ([], Order(AGENT), "the agent 'a' is not known here"),
            ([OTHER], Order(AGENT), "the agent 'a' is not known here"),
            (
                [AGENT],
                Order(AGENT, deps="a connection"),
                "its dependencies were those of the process that has started it",
            ),
            (
                [attrs.evolve(AGENT, instructions="be quick")],
                Order(AGENT),
                "the agent 'a' is another one now",
            ),
            (
                [attrs.evolve(AGENT, version="2")],
                Order(AGENT),
                "the agent 'a' is another one now",
            ),
        ],
    )
    def test_why_not(self, known: list[Agent], order: Order, why: str) -> None:
        assert KnownAgents(known).order(of_agent(), kept(order)) == why

    def test_a_run_of_a_version_that_kept_no_fingerprint(self) -> None:
        assert KnownAgents([AGENT]).order(of_agent(), Private()) == (
            "the agent 'a' is another one now"
        )
        fits = Private(fingerprint=fingerprint_of(AGENT))
        assert isinstance(KnownAgents([AGENT]).order(of_agent(), fits), Order)


class TestLeftHere:
    @pytest.mark.parametrize(
        "order",
        [Order(OTHER), Order(AGENT, deps="a connection"), Order(attrs.evolve(AGENT, version="2"))],
    )
    def test_what_nobody_else_has_is_kept_while_it_sleeps(self, order: Order) -> None:
        known = KnownAgents([AGENT])
        known.remember("r", order)
        assert known.remembered == {"r"}
        assert known.order(of_agent(order.agent.name), kept(order)) is order
        known.forget("r")
        known.forget("r")
        assert known.remembered == set()
        assert known.order(of_agent(order.agent.name), kept(order)) is not order

    def test_what_can_be_made_again_is_not_kept(self) -> None:
        known = KnownAgents([AGENT])
        known.remember("r", Order(AGENT))
        assert known.remembered == set()
