"""Tools that are functions."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

import attrs
import msgspec

from .._errors import ToolError
from .._events import Wants
from .._log.plain import read_json
from ._approval import Approval, is_asked
from ._context import ToolContext
from ._contract import DepsT_contra, Tool
from ._convert import MAX_CORRECTION, convert, expected_fields
from ._signature import name_of
from ._threads import ToolThreads

P = ParamSpec("P")
R = TypeVar("R")


@attrs.frozen(eq=False)
class FunctionTool(Tool[DepsT_contra], Generic[P, R, DepsT_contra]):
    """A function, and what a model must know to call it. Made by `tool`, compared by identity.

    Calling it calls the function: for your own code and tests it stays what it was.
    """

    name: str
    """What the model calls it."""

    function: Callable[P, R]
    """What it does."""

    description: str = attrs.field(repr=False)
    """What the model reads about it."""

    schema: Mapping[str, Any] = attrs.field(repr=False)
    """The JSON Schema of its arguments, an object; without references, unless it is your own."""

    strict: bool | None = attrs.field(repr=False)
    """Whether the provider is to hold the arguments to the schema; None: as the provider does."""

    deadline: float | None
    """Seconds that one call may take; None: what the agent's limits say."""

    abandon: bool
    """Whether a cancelled call of a sync tool is left behind in its thread."""

    is_async: bool
    """Whether the function must be awaited; if not, it runs in a thread."""

    takes_context: bool
    """Whether the function's first argument is a `ToolContext`."""

    approval: Approval = attrs.field(repr=False)
    """Whether somebody has to allow a call: always, never, or as a function of it says."""

    retry_safe: bool = attrs.field(repr=False)
    """Whether a call may be made twice, if nobody knows what became of it."""

    _arguments: type[msgspec.Struct] = attrs.field(repr=False, alias="arguments")
    _defaults: Mapping[str, Any] = attrs.field(repr=False, alias="defaults")

    agent: Any = attrs.field(default=None, repr=False)
    """The agent whose tool it is, if `Agent.as_tool` made it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function as it is: nothing is validated, no deadline holds."""
        return self.function(*args, **kwargs)

    @property
    def may_wait(self) -> bool:
        """Whether a call may have to be allowed."""
        return self.approval is not False

    def wants(self, arguments: Any, context: ToolContext[DepsT_contra]) -> Wants | None:
        """Say whether somebody has to allow a call; not one whose arguments don't fit.

        Raises:
            Exception: whatever the function raises that says so.
        """
        if self.approval is False:
            return None
        try:
            sent = self.parse(arguments)
        except ToolError:
            # The function is not going to be called: the model reads what to correct.
            return None
        return "approval" if is_asked(self.approval, context, {**self._defaults, **sent}) else None

    def fingerprint(self) -> str:
        """Say what may have to be allowed, and which agent is asked, if it is an agent's."""
        declared: list[Any] = []
        if self.approval is not False:
            asked = self.approval
            declared.append(asked if isinstance(asked, bool) else name_of(asked))
        if self.agent is not None:
            declared.append(hashlib.sha256(self.agent.fingerprint()).hexdigest())
        return msgspec.json.encode(declared).decode() if declared else ""

    async def call(self, arguments: Any, context: ToolContext[DepsT_contra]) -> Any:
        """Validate the arguments and call the function, in a thread if it is sync.

        Raises:
            ToolError: the arguments don't fit, or the function raises it.
        """
        work = self.bind(arguments, context)
        if self.is_async:
            return await work()
        place = await threads_of(context).place()
        return await place.run(work, abandon=self.abandon)

    def bind(self, arguments: Any, context: ToolContext[DepsT_contra]) -> partial[Any]:
        """The function with all that one call passes to it.

        Raises:
            ToolError: the arguments don't fit.
        """
        first = (context,) if self.takes_context else ()
        return partial(self.function, *first, **self.parse(arguments))

    def parse(self, arguments: Any) -> dict[str, Any]:
        """Validate what a model sent and convert it to what the function takes.

        Args:
            arguments: a JSON value, or JSON text. No text at all means no arguments, which is how
                some providers write them.

        Returns:
            The keyword arguments that were sent; for the others the function has its defaults.

        Raises:
            ToolError: the arguments don't fit; the message tells the model what to correct.
        """
        try:
            if isinstance(arguments, str):
                arguments = _decode(arguments or "{}")
            values = convert(arguments, self._arguments)
        except ValueError as error:
            raise ToolError(self._correction(arguments, error)) from error
        except RecursionError:
            raise ToolError("the arguments are nested too deeply") from None
        fields = self._arguments.__struct_fields__
        return {
            name: getattr(values, name) if name in fields else value
            for name, value in arguments.items()
        }

    def _correction(self, arguments: Any, error: Exception) -> str:
        text = f"{error}; {expected_fields(self.schema)}"
        closed = self._arguments.__struct_config__.forbid_unknown_fields
        if closed and isinstance(arguments, dict):
            known = self._arguments.__struct_fields__
            if unknown := [name for name in arguments if name not in known]:
                text += f"; unknown fields: {', '.join(unknown)}"
        return text[:MAX_CORRECTION]


def threads_of(context: ToolContext[Any]) -> ToolThreads:
    """The threads of the runtime, or one of its own where there is no runtime, as in tests."""
    threads = context._threads  # noqa: SLF001 - it is for us, and nobody else's
    return ToolThreads(1) if threads is None else threads


def _decode(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError as error:
        raise ToolError(f"the arguments are no valid JSON: {error}") from error
