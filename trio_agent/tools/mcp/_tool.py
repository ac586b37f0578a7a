"""One tool of a server."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
from mcp_types import Tool as RemoteTool

from ..._errors import ToolError
from ..._events import Wants
from .._context import ToolContext
from .._contract import Tool


@attrs.frozen(eq=False)
class ServerTool(Tool[Any]):
    """A tool as the server declares it, under the name that the model calls it by.

    It stays what it is when the server is opened again: what it calls is the server of the moment.
    """

    _name: str
    _remote: RemoteTool
    _call: Callable[[str, dict[str, Any], ToolContext], Awaitable[Any]] = attrs.field(repr=False)
    _approval: bool = attrs.field(default=False, kw_only=True)
    _retry_safe: bool = attrs.field(default=False, kw_only=True)

    @property
    def name(self) -> str:
        """The prefix and the server's name for it, made fit for providers."""
        return self._name

    @property
    def description(self) -> str:
        """What the server says, or else its title."""
        return self._remote.description or self._remote.title or self._remote.name

    @property
    def schema(self) -> Mapping[str, Any]:
        """What the server says."""
        return {"type": "object", **self._remote.input_schema}

    @property
    def retry_safe(self) -> bool:
        """What was declared here, whatever the server says."""
        return self._retry_safe

    @property
    def may_wait(self) -> bool:
        """Whether its calls have to be allowed."""
        return self._approval

    def wants(self, arguments: Any, context: ToolContext) -> Wants | None:
        """Say that somebody has to allow a call, if that was declared and it can be made."""
        del context
        can_be_made = arguments is None or isinstance(arguments, dict)
        return "approval" if self._approval and can_be_made else None

    async def call(self, arguments: Any, context: ToolContext) -> Any:
        """Have the server do it. Cancelling the call cancels it there.

        Raises:
            ToolError: it failed, in the server's words; or the server did.
        """
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, dict):
            raise ToolError("the arguments of this tool are a JSON object")
        return await self._call(self._remote.name, arguments, context)
