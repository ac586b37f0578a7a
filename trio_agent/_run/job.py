"""What a run is given by its agent and its runtime."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import attrs

from .._config import AgentConfig
from .._instrument.instruments import Instruments
from .._limits import OnDisconnect
from ..models._model import Model
from ..tools._context import Principal
from ..tools._source import OpenTools, ToolSource
from ..tools._threads import ToolThreads

NO_DEPS: Final[Any] = object()
"""A run is given no dependencies: its agent opens them, or has none."""


@attrs.frozen
class Order:
    """How a run is to be performed, as whoever starts it says."""

    agent: AgentConfig
    """As it runs, with the settings of the run."""
    declared: AgentConfig = attrs.field(default=attrs.Factory(lambda self: self.agent, True))
    """Without them: what a continuation must find unchanged."""
    on_disconnect: OnDisconnect = "continue"
    principal: Principal | None = None
    """Whose run it is; None where nobody is asked."""
    deps: Any = attrs.field(default=NO_DEPS, repr=False)
    """The dependencies, if whoever starts the run has them."""
    retractable: bool = True
    """Whether all who read it can take text back."""


@attrs.frozen(kw_only=True)
class Job:
    """What a run needs of whoever starts it, and of its runtime."""

    order: Order
    use_model: Callable[[Model], AbstractAsyncContextManager[Model]]
    use_source: Callable[[ToolSource], AbstractAsyncContextManager[OpenTools]]
    tool_threads: ToolThreads
    instruments: Instruments
    closing_bound: float
    """Seconds that the closing events may take when everything is being cancelled."""
