"""Whether somebody has to allow a call: always, never, or as a function of the call says.

- The function sees what the tool's function is going to be called with, its defaults included.
- What can't be such a function is told where the tool is made.
- True and False are the only answers. A function that forgets to return one must not let calls
  through, so that it is an error, which asks for approval.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ._context import ToolContext
from ._signature import is_async

Approval: TypeAlias = bool | Callable[..., bool]
"""Whether to ask: always, never, or what a function ``f(context, **arguments)`` says."""


def check_approval(approval: object, parameters: Sequence[inspect.Parameter]) -> None:
    """See that this can be asked about the calls of a function.

    Args:
        approval: what was declared.
        parameters: of the function, without its context.

    Raises:
        TypeError: it is neither True nor False nor a function, is async, or does not take the
            context and these parameters.
    """
    if isinstance(approval, bool):
        return
    if isinstance(approval, type) or not callable(approval):
        raise TypeError(
            "approval is True, False or a function f(context, **arguments) that says whether to "
            f"ask, not {approval!r}"
        )
    if is_async(approval):
        raise TypeError(
            "approval: whether to ask is decided before anybody knows of the call, without I/O, "
            "so that the function can't be async: decide in a plain function (of what the deps "
            "hold already, if need be), or ask always, with approval=True"
        )
    names = [each.name for each in parameters if each.kind is not each.VAR_KEYWORD]
    try:
        inspect.signature(approval).bind(None, **dict.fromkeys(names))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"approval: the function is called with the context, by position, and by name with "
            f"{', '.join(names) or 'nothing'}: {error}; take what you don't need as **_"
        ) from None


def is_asked(approval: Approval, context: ToolContext[Any], arguments: Mapping[str, Any]) -> bool:
    """Say whether somebody has to allow a call.

    Args:
        approval: what was declared.
        context: of the call.
        arguments: of the call, as the function gets them.

    Raises:
        TypeError: the function returned neither True nor False.
        Exception: whatever the function raises.
    """
    if isinstance(approval, bool):
        return approval
    answer: object = approval(context, **arguments)
    if not isinstance(answer, bool):
        raise TypeError(f"approval: the function returned a {type(answer).__name__}, no bool")
    return answer
