"""What a run is given by its agent and its runtime."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import attrs

from .._config import AgentConfig
from .._instrument.instruments import Instruments
from .._messages import AnyMessage
from ..models._model import Model
from ..tools._context import Principal
from ..tools._source import OpenTools, ToolSource
from ..tools._threads import ToolThreads

NO_DEPS: Final[Any] = object()
"""A run is given no dependencies: its agent opens them, or has none."""


@attrs.frozen(kw_only=True)
class Job:
    """What a run needs of its agent and its runtime."""

    agent: AgentConfig
    messages: tuple[AnyMessage, ...]
    deps: Any = NO_DEPS
    """The dependencies, if whoever starts the run has them."""
    principal: Principal | None = None
    use_model: Callable[[Model], AbstractAsyncContextManager[Model]]
    use_source: Callable[[ToolSource], AbstractAsyncContextManager[OpenTools]]
    tool_threads: ToolThreads
    instruments: Instruments
    closing_bound: float
    """Seconds that the closing events may take when everything is being cancelled."""
