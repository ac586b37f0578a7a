"""What a run tells those who work for it: whose it is, and what it was given to work with."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic

import attrs
from typing_extensions import TypeVar

if TYPE_CHECKING:
    from ._threads import ToolThreads

DepsT_co = TypeVar("DepsT_co", covariant=True, default=Any)


@attrs.frozen
class Principal:
    """Who a run belongs to, as whoever authorized the request said it; never the client's word."""

    id: str
    claims: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """JSON: what else is known of them, such as a tenant or a plan."""


@attrs.frozen(kw_only=True)
class RunFacts:
    """Which run this is, before anything was opened for it."""

    run_id: str = ""
    agent: str = ""
    """The name of the agent. For a sub-agent: its own."""
    parent: str | None = None
    """For a sub-agent: the call whose tool it is."""
    principal: Principal | None = None
    """None where nobody is asked."""
    metadata: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """What was given at the start: JSON, and the client's word."""
    thread: str | None = None
    """The thread that the run is a part of, if it is one."""


@attrs.frozen(kw_only=True)
class RunContext(RunFacts, Generic[DepsT_co]):
    """A run, and its dependencies."""

    deps: DepsT_co = attrs.field(default=None, repr=False)
    """What `Agent(open_deps=...)` opened or `start(deps=...)` was given; None if neither was."""


def _nowhere(_: Any) -> None:
    """What is told by a call that belongs to no run."""


@attrs.frozen(kw_only=True)
class ToolContext(RunContext[DepsT_co]):
    """What one call of a tool knows of its run, and can tell it.

    The first parameter of a tool's function may be one: it is filled in, and the model does not
    see it. In tests, make one yourself: ``ToolContext(deps=...)``.
    """

    call_id: str = ""
    """Names the call within its run, and stays the same if the call is repeated: a key for what
    must happen once."""
    _on_progress: Callable[[Any], None] = attrs.field(
        default=_nowhere, repr=False, alias="on_progress"
    )
    _on_cancel: Callable[[str], None] = attrs.field(default=_nowhere, repr=False, alias="on_cancel")
    _run_agent: "Callable[[Any, str], Awaitable[Any]] | None" = attrs.field(
        default=None, repr=False, alias="run_agent"
    )
    _threads: "ToolThreads | None" = attrs.field(default=None, repr=False, alias="threads")

    def progress(self, data: Any) -> None:
        """Show viewers how far the call is: a `ToolProgress` event. From any thread; never waits.

        The latest counts: what comes faster than it can be published is left out, as is what
        comes behind the call's result or when the run's log is half full.

        Args:
            data: JSON, such as ``{"done": 3, "of": 10}``. It is copied.

        Raises:
            ValueError: it is no JSON.
        """
        self._on_progress(data)

    def request_cancel(self, reason: str = "requested") -> None:
        """Ask the run to end, without waiting for it. From any thread that Trio has started."""
        self._on_cancel(reason)
