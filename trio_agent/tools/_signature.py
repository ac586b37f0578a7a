"""What a function takes: from a model, and from us.

- A model names its arguments, so that each parameter can be passed by name.
- The first parameter may be a `ToolContext`, which is ours to fill in and no model's business.
  Elsewhere a context would be described to the model, and written by it: that is an error.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import attrs

from . import _pydantic
from ._context import RunFacts, ToolContext


@attrs.frozen
class Signature:
    """What a function takes."""

    takes_context: bool
    """Whether the first argument, passed by position, is a `ToolContext`."""

    parameters: tuple[inspect.Parameter, ...]
    """What a caller passes by name, with annotations resolved; `Any` where there is none."""


def without_partial(function: Any) -> Any:
    """The callable whose arguments a `functools.partial` has bound, or the callable itself."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def underlying(function: Any) -> Any:
    """The function or method behind partials and wrappers, which has annotations and docs."""
    function = inspect.unwrap(without_partial(function))
    return function if inspect.isroutine(function) else function.__call__


def is_async(function: Any) -> bool:
    """Whether calling it returns something to await."""
    unbound = without_partial(function)
    return any(map(inspect.iscoroutinefunction, (unbound, type(unbound).__call__)))


def name_of(function: object) -> list[str]:
    """Where a function is defined: the same in all processes, unlike its `repr`.

    What a partial binds is left out, and an object with `__call__` has the name of its class.
    """
    if isinstance(function, functools.partial):
        return ["functools.partial", *name_of(function.func)]
    named = function if hasattr(function, "__qualname__") else type(function)
    return [str(getattr(named, "__module__", None)), str(named.__qualname__)]


def signature_of(function: Callable[..., Any], *, described: bool = False) -> Signature:
    """What a function takes.

    Arguments that a `functools.partial` has bound are left out. ``**kwargs`` are among them only
    if somebody has `described` them.

    Raises:
        TypeError: a parameter can't be passed by name, an annotation can't be resolved, or a
            context is not in the first place.
    """
    try:
        hints = get_type_hints(underlying(function), include_extras=True)
    except NameError as error:
        raise TypeError(
            f"an annotation can't be resolved: {error}. Define or import it at module level, "
            "outside of `if TYPE_CHECKING:`"
        ) from error
    bound = function.keywords if isinstance(function, functools.partial) else {}
    parameters = [
        parameter.replace(annotation=hints.get(name, Any))
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in bound
    ]
    if parameters and parameters[0].name in ("self", "cls") and parameters[0].name not in hints:
        raise TypeError(
            f"{parameters[0].name!r} can't come from a model: make the bound method a tool, "
            "tool(instance.method), instead of decorating it in the class"
        )
    takes_context = bool(parameters) and _is_context(parameters[0])
    named = parameters[takes_context:]
    for parameter in named:
        _check(parameter, described)
    return Signature(
        takes_context,
        tuple(each.replace(annotation=_pydantic.adapted(each.annotation)) for each in named),
    )


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    return positional and (get_origin(annotation) or annotation) is ToolContext


def _check(parameter: inspect.Parameter, described: bool) -> None:
    name = parameter.name
    if _mentions_context(parameter.annotation):
        raise TypeError(
            f"{name!r} can't come from a model: a ToolContext is filled in where it is the first "
            "parameter, not a keyword, and annotated as just that"
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise TypeError(f"{name!r} is positional-only, but a model names its arguments: drop the /")
    if parameter.kind is parameter.VAR_POSITIONAL or (
        parameter.kind is parameter.VAR_KEYWORD and not described
    ):
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        raise TypeError(
            f"{stars}{name} has no schema: declare each parameter, or one of type list or dict"
        )


def _mentions_context(annotation: Any) -> bool:
    """Whether it is a context, or a type with one in it; by its base class, too."""
    cls = get_origin(annotation) or annotation
    if isinstance(cls, type) and issubclass(cls, RunFacts):
        return True
    return any(map(_mentions_context, get_args(annotation)))
