"""Where tools come from that are not known before they are opened: servers, above all."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

from ._contract import Tool


class OpenTools(ABC):
    """An open source."""

    @abstractmethod
    async def list_tools(self) -> Sequence[Tool[Any]]:
        """Return the tools that there are now. A checkpoint. Asked before each step.

        What they were when the source broke down, if it did: their calls say so to the model.
        """


class ToolSource(ABC):
    """Opens a set of tools, for a runtime or for each run."""

    scope: Literal["runtime", "run"] = "runtime"
    """`runtime`: opened once, at the first run, and shared by all; closed when nobody has used it
    for 60 seconds. `run`: opened for each run (and each sub-agent) of its own."""

    @property
    def may_wait(self) -> bool:
        """Whether calls of its tools may have to wait for somebody. By default not."""
        return False

    @abstractmethod
    def open(self) -> AbstractAsyncContextManager[OpenTools]:
        """Open the source for as long as the context lasts.

        Raises:
            ToolSourceError: it can't be opened. The run ends with `error` `tools-unavailable`.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Say what was declared, without secrets: a run is continued only where it is the same."""
