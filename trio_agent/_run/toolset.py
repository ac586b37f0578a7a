"""The tools of an agent as they are now: its own, and those of its sources.

What an agent was given itself comes first, then its sources in their order: a server can't put a
tool of its own in the place of one of yours.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ..models._parts import ToolSpec
from ..tools._contract import Tool
from ..tools._source import OpenTools

logger = logging.getLogger("trio_agent")


class Toolset:
    """What one agent of a run may call.

    Args:
        own: the agent's tools, by their names.
        sources: its open sources.
    """

    def __init__(self, own: Mapping[str, Tool[Any]], sources: Sequence[OpenTools]) -> None:
        self.by_name: Mapping[str, Tool[Any]] = own
        """The tools, by their names."""
        self.specs: tuple[ToolSpec, ...] = tuple(tool.spec for tool in own.values())
        """The tools as the model sees them."""
        self._own = own
        self._sources = sources
        self._told: set[str] = set()

    async def refresh(self) -> None:
        """Look at the sources again. A checkpoint if there are any."""
        if not self._sources:
            return
        found = dict(self._own)
        for source in self._sources:
            for tool in await source.list_tools():
                if found.setdefault(tool.name, tool) is not tool and tool.name not in self._told:
                    self._told.add(tool.name)
                    logger.warning(
                        "two tools are called %r: the first is used; give the source a prefix",
                        tool.name,
                    )
        self.by_name = found
        self.specs = tuple(tool.spec for tool in found.values())
