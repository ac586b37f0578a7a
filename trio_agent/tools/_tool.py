"""Tools: functions that a model may call."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, overload

import attrs
import msgspec

from .._errors import ToolError
from .._log.plain import is_deep, read_json
from ..models._parts import ToolSpec
from ._convert import MAX_CORRECTION, convert, expected_fields
from ._schema import (
    arguments_schema,
    arguments_type,
    encode,
    own_schema,
    parameter_docs,
    parameters_of,
    summary,
    underlying,
    without_partial,
)

P = ParamSpec("P")
R = TypeVar("R")

MAX_OUTPUT = 2**20
"""The default bound on a tool's output, in bytes of JSON."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@attrs.frozen(eq=False)
class Tool(Generic[P, R]):
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

    _arguments: type[msgspec.Struct] = attrs.field(repr=False, alias="arguments")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function as it is: nothing is validated, no deadline holds."""
        return self.function(*args, **kwargs)

    @property
    def spec(self) -> ToolSpec:
        """The tool as the model sees it."""
        return ToolSpec(self.name, self.description, self.schema, self.strict)

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


@overload
def tool(
    function: Callable[P, R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    deadline: float | None = None,
    abandon: bool = False,
    schema: Mapping[str, Any] | None = None,
    strict: bool | None = None,
) -> Tool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    deadline: float | None = None,
    abandon: bool = False,
    schema: Mapping[str, Any] | None = None,
    strict: bool | None = None,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    deadline: float | None = None,
    abandon: bool = False,
    schema: Mapping[str, Any] | None = None,
    strict: bool | None = None,
) -> Any:
    """Make a function a tool: `@tool`, `@tool(deadline=10)`, or `tool(instance.method)`.

    The signature becomes the JSON Schema of the arguments, and validates them: scalars, lists,
    dicts, `Literal`, `Enum`, `TypedDict`, dataclasses, attrs classes, msgspec structs, pydantic
    models, dates. A parameter is described by `Annotated[..., msgspec.Meta(description=...)]` or
    by the docstring (Google, NumPy or Sphinx style). What a `functools.partial` binds is not shown
    to the model.

    Async functions run in a task of their run, other functions in a thread. Nobody can kill a
    thread: a cancelled sync tool is waited for (it may call `trio.from_thread.check_cancelled`),
    unless `abandon` lets go of it.

    Args:
        function: an async or sync function, bound method, partial, or object with `__call__`.
        name: 1 to 64 letters, digits, `_` or `-`. By default the function's name.
        description: by default the first paragraph of the docstring.
        deadline: seconds that one call may take; `math.inf` for no deadline. By default that of
            the agent's limits (`Limits.tool_deadline`, 60 seconds unless you set it).
        abandon: for sync functions: on cancellation, and at the deadline, leave the thread behind;
            the result then says that the outcome is unknown.
        schema: the JSON Schema of the arguments in your own words, for what a signature can't
            say and for providers that know less of JSON Schema. It is sent as it is. Arguments
            are still converted to the annotations of the signature; where there is none, and for
            ``**kwargs``, which are allowed then, they are passed as JSON values.
        strict: ask the provider to hold the arguments to the schema (OpenAI's `strict`); what it
            then demands of the schema is for you to see to. By default nothing is said of it.

    Raises:
        TypeError: the signature can't be described to a model, or the schema is no JSON object.
        ValueError: bad name or deadline, `abandon` with an async function, or the schema is not
            that of an object.
    """
    if function is None:
        return functools.partial(
            tool,
            name=name,
            description=description,
            deadline=deadline,
            abandon=abandon,
            schema=schema,
            strict=strict,
        )
    if isinstance(function, type | Tool) or not callable(function):
        raise TypeError(f"a tool is made of a function or another callable, not of {function!r}")
    unbound = without_partial(function)
    if name is None:
        name = str(getattr(unbound, "__name__", type(unbound).__name__))
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no tool name: give it 1 to 64 of A-Z a-z 0-9 _ - with tool(name=...)"
        )
    if deadline is not None and not deadline > 0:
        raise ValueError(f"the deadline of tool {name!r} must be positive, not {deadline!r}")
    is_async = any(map(inspect.iscoroutinefunction, (unbound, type(unbound).__call__)))
    if abandon and is_async:
        raise ValueError(
            f"tool {name!r} is async, so it can be cancelled: abandon=True is for sync functions"
        )
    if inspect.isgeneratorfunction(unbound) or inspect.isasyncgenfunction(unbound):
        raise TypeError(f"tool {name!r} is a generator, but a tool has one result: return it")
    doc = inspect.getdoc(underlying(function)) or ""
    try:
        parameters = parameters_of(function, described=schema is not None)
        if schema is None:
            schema = arguments_schema(parameters, parameter_docs(doc))
        else:
            schema = own_schema(schema, parameters)
    except (TypeError, ValueError) as error:
        raise type(error)(f"tool {name!r}: {error}") from error
    return Tool(
        name=name,
        function=function,
        description=summary(doc) if description is None else description,
        schema=schema,
        strict=strict,
        deadline=deadline,
        abandon=abandon,
        is_async=is_async,
        arguments=arguments_type(parameters),
    )


def as_tool(obj: Tool[..., Any] | Callable[..., Any]) -> Tool[..., Any]:
    """A tool as it is, a function as a tool with all defaults.

    Raises:
        TypeError: it is neither, or its signature can't be described to a model.
        ValueError: its name is no tool name (a lambda): use `tool(function, name=...)`.
    """
    return obj if isinstance(obj, Tool) else tool(obj)


def encode_output(value: object, *, max_output: int = MAX_OUTPUT) -> Any:
    """The JSON value of what a tool returned: str, int, float, bool, None, list, and dict by str.

    Dataclasses, attrs classes, structs, pydantic models, enums, dates, sets and bytes (base64)
    have a JSON form; NaN and infinities become None.

    Raises:
        ToolError: the value has no JSON form, is nested more than 100 deep, or its JSON is longer
            than `max_output` bytes.
    """
    try:
        text = encode(value)
        if len(text) > max_output:
            raise ToolError(
                f"the output is {len(text)} bytes long, {max_output} are allowed: ask for less"
            )
        output = msgspec.json.decode(text)
    except RecursionError:
        raise ToolError("the output is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise ToolError(
            f"the tool returned a {type(value).__name__} that has no JSON form: {error}"
        ) from error
    if is_deep(output):
        raise ToolError("the output is nested too deeply")
    return output


def output_text(output: Any) -> str:
    """What the model reads of an encoded output: a str as it is, anything else as compact JSON."""
    return output if isinstance(output, str) else msgspec.json.encode(output).decode()


def _decode(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError as error:
        raise ToolError(f"the arguments are no valid JSON: {error}") from error
