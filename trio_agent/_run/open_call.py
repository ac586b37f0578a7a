"""A tool call while the model writes it."""

import attrs

from .._events import ToolRequest
from .._log.plain import is_deep, read_json


@attrs.define
class OpenCall:
    """Collects the fragments of its arguments."""

    id: str
    name: str
    fragments: list[str] = attrs.field(factory=list)

    def as_request(self) -> ToolRequest:
        """Return the call, now that its arguments are complete; see `ToolRequest`."""
        text = "".join(self.fragments)
        try:
            value = read_json(text) if text.strip() else None
            if isinstance(value, str):  # JSON as a JSON string
                value = read_json(value) if value.strip() else None
        except (ValueError, RecursionError):
            value = text
        if value is None or value == []:
            value = {}  # how models and proxies write that there are no arguments
        if is_deep(value):
            value = text
        return ToolRequest(self.id, self.name, value)
