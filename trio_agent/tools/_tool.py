"""Makes functions tools.

What the type checkers know of it: a function with a context is a ``FunctionTool`` for its
dependencies, one without is for all, and both can be called as they were.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

from ._approval import Approval, check_approval
from ._context import ToolContext
from ._contract import Tool, check_name
from ._function import FunctionTool
from ._schema import (
    arguments_schema,
    arguments_type,
    own_schema,
    parameter_docs,
    summary,
)
from ._signature import is_async, signature_of, underlying, without_partial

P = ParamSpec("P")
R = TypeVar("R")
DepsT = TypeVar("DepsT")


class _Options(TypedDict, total=False):
    name: str | None
    description: str | None
    deadline: float | None
    abandon: bool
    schema: Mapping[str, Any] | None
    strict: bool | None
    approval: Approval
    retry_safe: bool


class _Decorator(Protocol):
    @overload
    def __call__(
        self, function: Callable[Concatenate[ToolContext[DepsT], P], R], /
    ) -> FunctionTool[Concatenate[ToolContext[DepsT], P], R, DepsT]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionTool[P, R, object]: ...


@overload
def tool(
    function: functools.partial[R], /, **options: Unpack[_Options]
) -> FunctionTool[..., R, Any]: ...


@overload
def tool(
    function: Callable[Concatenate[ToolContext[DepsT], P], R], /, **options: Unpack[_Options]
) -> FunctionTool[Concatenate[ToolContext[DepsT], P], R, DepsT]: ...


@overload
def tool(
    function: Callable[P, R], /, **options: Unpack[_Options]
) -> FunctionTool[P, R, object]: ...


@overload
def tool(**options: Unpack[_Options]) -> _Decorator: ...


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
    approval: Approval = False,
    retry_safe: bool = False,
) -> Any:
    """Make a function a tool: `@tool`, `@tool(deadline=10)`, or `tool(instance.method)`.

    The signature becomes the JSON Schema of the arguments, and validates them: scalars, lists,
    dicts, `Literal`, `Enum`, `TypedDict`, dataclasses, attrs classes, msgspec structs, pydantic
    models, dates. A parameter is described by `Annotated[..., msgspec.Meta(description=...)]` or
    by the docstring (Google, NumPy or Sphinx style). What a `functools.partial` binds is not shown
    to the model, nor is the first parameter if its annotation is `ToolContext` or
    ``ToolContext[Deps]``: that is filled in.

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
        approval: whether somebody has to allow a call before it is made: True, or a plain function
            ``f(context, **arguments)`` that says so. It is called once for each call whose
            arguments fit, without I/O, with what your function gets and its defaults. If it
            raises, or returns no bool, the call has to be allowed.
        retry_safe: that a call may be made twice. If the worker of a run is lost in a call, who
            continues the run makes it again; by default its outcome is `unknown`, and the model is
            told.

    Raises:
        TypeError: the signature can't be described to a model, a context is not the first
            parameter, the schema is no JSON object, or `approval` can't be asked.
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
            approval=approval,
            retry_safe=retry_safe,
        )
    if isinstance(function, type | Tool) or not callable(function):
        raise TypeError(f"a tool is made of a function or another callable, not of {function!r}")
    unbound = without_partial(function)
    if name is None:
        name = str(getattr(unbound, "__name__", type(unbound).__name__))
    check_name(name)
    if deadline is not None and not deadline > 0:
        raise ValueError(f"the deadline of tool {name!r} must be positive, not {deadline!r}")
    if not isinstance(retry_safe, bool):
        raise TypeError(f"retry_safe of tool {name!r} is True or False, not {retry_safe!r}")
    if abandon and is_async(function):
        raise ValueError(
            f"tool {name!r} is async, so it can be cancelled: abandon=True is for sync functions"
        )
    if inspect.isgeneratorfunction(unbound) or inspect.isasyncgenfunction(unbound):
        raise TypeError(f"tool {name!r} is a generator, but a tool has one result: return it")
    doc = inspect.getdoc(underlying(function)) or ""
    try:
        signature = signature_of(function, described=schema is not None)
        parameters = signature.parameters
        check_approval(approval, parameters)
        if schema is None:
            schema = arguments_schema(parameters, parameter_docs(doc))
        else:
            schema = own_schema(schema, parameters)
    except (TypeError, ValueError) as error:
        raise type(error)(f"tool {name!r}: {error}") from error
    return FunctionTool(
        name=name,
        function=function,
        description=summary(doc) if description is None else description,
        schema=schema,
        strict=strict,
        deadline=deadline,
        abandon=abandon,
        is_async=is_async(function),
        takes_context=signature.takes_context,
        approval=approval,
        retry_safe=retry_safe,
        arguments=arguments_type(parameters),
        defaults={p.name: p.default for p in parameters if p.default is not p.empty},
    )


def as_tool(obj: Tool[Any] | Callable[..., Any]) -> Tool[Any]:
    """A tool as it is, a function as a tool with all defaults.

    Raises:
        TypeError: it is neither, or its signature can't be described to a model.
        ValueError: its name is no tool name (a lambda): use `tool(function, name=...)`.
    """
    if not isinstance(obj, Tool):
        return tool(obj)
    check_name(obj.name)
    return obj
