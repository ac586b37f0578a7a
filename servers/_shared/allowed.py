"""What of an agent a client may change for its run.

Rules: nothing, unless the operator names it. A limit can be lowered, never raised. An option that
is named can have any value: what it costs is the operator's to know. Tools of a client's own are
text that the model reads, and calls that runs wait for: all or none are allowed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from trio_agent import Limits
from trio_agent.abc import LIMIT_NAMES

from .content import bad
from .problem import Problem

_MAX_CLIENT_TOOLS: Final = 64
"""Of one run: the model reads all of them in each step."""


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)


def _known(names: Iterable[str]) -> frozenset[str]:
    chosen = frozenset(names)
    if unknown := sorted(chosen - LIMIT_NAMES.keys()):
        raise ValueError(f"there is no limit {unknown[0]!r}; there are: {', '.join(LIMIT_NAMES)}")
    return chosen


@attrs.frozen
class Allowed:
    """The names of what clients may set.

    Args:
        options: of those that go to the provider, such as ``temperature``.
        limits: of the limits as requests call them, such as ``maxTokens``.
        client_tools: whether they may bring tools of their own.

    Raises:
        ValueError: there is no such limit.
    """

    options: frozenset[str] = attrs.field(default=frozenset(), converter=_names)
    limits: frozenset[str] = attrs.field(default=frozenset(), converter=_known)
    client_tools: bool = False

    def check_options(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the options for a run.

        Raises:
            Problem: one is not allowed.
        """
        _check(wanted, self.options, "option")
        return wanted

    def check_limits(
        self, wanted: Mapping[str, float | None], agent: Limits
    ) -> Mapping[str, float | None]:
        """Return the limits for a run, by their names in Python.

        Raises:
            Problem: one is not allowed, or is higher than the agent's.
        """
        _check(wanted, self.limits, "limit")
        found: dict[str, float | None] = {}
        for name, value in wanted.items():
            most = getattr(agent, LIMIT_NAMES[name])
            if _number(value) > _number(most):
                raise bad(f"{name} can be lowered only: it is at most {most}", f"$.limits.{name}")
            found[LIMIT_NAMES[name]] = value
        return found

    def check_client_tools(
        self, wanted: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        """Return the client's tools for a run.

        Raises:
            Problem: they are not allowed, or too many.
        """
        if wanted and not self.client_tools:
            message = "clients may not bring tools here; allow it with --allow-client-tools"
            raise Problem(403, "not-allowed", message)
        if len(wanted) > _MAX_CLIENT_TOOLS:
            raise bad(f"a run has at most {_MAX_CLIENT_TOOLS} tools of its client", "$.clientTools")
        return wanted


def _check(wanted: Mapping[str, Any], allowed: frozenset[str], what: str) -> None:
    for name in wanted:
        if name not in allowed:
            shown = name[:80]
            message = f"clients may not set the {what} {shown!r} here; allow it with"
            raise Problem(403, "not-allowed", f"{message} --allow-{what} {shown}")


def _number(value: float | None) -> float:
    return math.inf if value is None else value
