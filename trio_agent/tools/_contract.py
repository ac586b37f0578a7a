"""What a tool is to a run."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Generic

from typing_extensions import TypeVar

from .._events import Wants
from ..models._parts import ToolSpec
from ._context import ToolContext

DepsT_contra = TypeVar("DepsT_contra", contravariant=True, default=Any)


_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_name(name: object) -> None:
    """See that providers take this as the name of a tool.

    Raises:
        ValueError: they don't.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no tool name: give it 1 to 64 of A-Z a-z 0-9 _ - with name=")


class Tool(ABC, Generic[DepsT_contra]):
    """Something that a model may call: a function (`tool`), an agent, a tool of a server.

    A ``Tool[Shop]`` can be given to agents whose dependencies are a `Shop`, and a ``Tool[object]``
    to all.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What the model calls it: 1 to 64 letters, digits, `_` or `-`."""

    @property
    @abstractmethod
    def description(self) -> str:
        """What the model reads about it."""

    @property
    @abstractmethod
    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema of its arguments, an object."""

    @property
    def strict(self) -> bool | None:
        """Whether the provider is to hold the arguments to the schema; None: as it does."""
        return None

    @property
    def deadline(self) -> float | None:
        """Seconds that one call may take; None: what the agent's limits say."""
        return None

    @property
    def retry_safe(self) -> bool:
        """Whether a call may be made twice, if nobody knows what became of it. By default not."""
        return False

    def wants(self, arguments: Any, context: ToolContext[DepsT_contra]) -> Wants | None:
        """Say what a call waits for before it is made; None, the default: it does not wait.

        Asked once for each call, before anybody knows of it, and never again: what it says is in
        the log. `approval`: somebody is to allow the call. `input`: somebody else makes it, and
        answers with its result. No I/O.

        Args:
            arguments: what the model wrote: a JSON value, or a text that is no JSON.
            context: of this call.

        Raises:
            Exception: whatever it raises, the call then waits for approval; it is logged.
        """
        del arguments, context
        return None

    @property
    def may_wait(self) -> bool:
        """Whether `wants` ever says something; by default, whether it is more than this one's."""
        return type(self).wants is not Tool.wants

    def fingerprint(self) -> str:
        """Say what was declared beside what the model sees, without secrets.

        A run is continued only where it is the same. By default there is nothing.
        """
        return ""

    @property
    def spec(self) -> ToolSpec:
        """The tool as the model sees it."""
        return ToolSpec(self.name, self.description, self.schema, self.strict)

    @abstractmethod
    async def call(self, arguments: Any, context: ToolContext[DepsT_contra]) -> Any:
        """Do what the model asks for and return what came of it: a value with a JSON form.

        The deadline is kept, and what is raised is caught, by who calls. Cancelling it must end
        what it does.

        Args:
            arguments: what the model wrote: a JSON value, or a text that is no JSON.
            context: of this call.

        Raises:
            ToolError: the model is told the message, and goes on.
        """
