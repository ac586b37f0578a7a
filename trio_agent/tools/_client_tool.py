"""Tools that whoever talks with the agent has: their calls wait, and the answer is the result.

- Nobody here can make such a call, nor knows what its arguments mean: only that they are an object.
- What a request says of one is refused if it is wrong, by the name of what is: it is a stranger's.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from .._errors import ToolError
from .._events import Wants
from ._context import ToolContext
from ._contract import Tool, check_name
from ._schema import own_schema

_FIELDS: Final = ("name", "description", "parameters", "schema", "strict")

_QUESTION: Final = {
    "type": "object",
    "properties": {
        "question": {"type": "string", "description": "What to ask, in one or two sentences."},
        "choices": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Answers to choose from, if there are only these.",
        },
    },
    "required": ["question"],
    "additionalProperties": False,
}


def _to_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    return own_schema(schema, ())


def _check_name(_: object, __: object, name: Any) -> None:
    check_name(name)


def _check_text(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} is a str, not {value!r}")


def _check_flag(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{attribute.name} is True, False or None, not {value!r}")


@attrs.frozen
class ClientTool(Tool[object]):
    """A tool that others have: a page in a browser, a program that started the run, a person.

    The run waits for who answers the call, with its result, and makes nothing by itself.

    Args:
        name: 1 to 64 letters, digits, `_` or `-`.
        description: what the model reads about it.
        schema: the JSON Schema of its arguments, an object. It is sent as it is, and not used to
            validate. By default there are none.
        strict: ask the provider to hold the arguments to the schema; None: as it does.

    Raises:
        TypeError: one of them is of another type.
        ValueError: bad name, or the schema is not that of an object.
    """

    name: str = attrs.field(validator=_check_name)
    """What the model calls it."""

    description: str = attrs.field(default="", repr=False, kw_only=True, validator=_check_text)
    """What the model reads about it."""

    schema: Mapping[str, Any] = attrs.field(
        factory=lambda: {"type": "object", "properties": {}},
        repr=False,
        kw_only=True,
        converter=_to_schema,
    )
    """The JSON Schema of its arguments, an object."""

    strict: bool | None = attrs.field(default=None, repr=False, kw_only=True, validator=_check_flag)
    """Whether the provider is to hold the arguments to the schema; None: as the provider does."""

    def wants(self, arguments: Any, context: ToolContext[object]) -> Wants | None:
        """Say that the call waits for its result, unless its arguments are no object."""
        del context
        return "input" if _is_object(arguments) else None

    def fingerprint(self) -> str:
        """Say that somebody else makes its calls."""
        return "client"

    async def call(self, arguments: Any, context: ToolContext[object]) -> Any:
        """Fail: nobody here can make the call. No checkpoint.

        Raises:
            ToolError: the arguments are no object, so that nobody was asked.
            RuntimeError: they are, and the call was to wait.
        """
        del context
        if not _is_object(arguments):
            raise ToolError("the arguments of this tool are a JSON object")
        raise RuntimeError(f"the tool {self.name!r} is its client's: nobody here can call it")


def _is_object(arguments: object) -> bool:
    # Some providers write no arguments as nothing at all.
    return isinstance(arguments, dict) or arguments in (None, "")


def request_of(tool: ClientTool) -> dict[str, Any]:
    """Say of a client's tool what `client_tool_of` reads."""
    said = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return said if tool.strict is None else {**said, "strict": tool.strict}


def client_tool_of(value: Mapping[str, Any]) -> ClientTool:
    """Make a client's tool of what a request says of it.

    Args:
        value: JSON, ``{"name", "description"?, "parameters"?, "strict"?}``, where `schema` is
            another name of `parameters`.

    Raises:
        ValueError: it is something else; the message says what is wrong.
    """
    if not isinstance(value, Mapping):
        raise ValueError("a tool is an object with a name")
    if unknown := [name for name in value if name not in _FIELDS]:
        raise ValueError(
            f"a tool has no {', '.join(map(repr, unknown))}; it has {', '.join(_FIELDS)}"
        )
    if "name" not in value:
        raise ValueError("a tool has a name")
    settings = dict(value)
    if "parameters" in settings:
        if "schema" in settings:
            raise ValueError("a tool has parameters or a schema, which are the same, not both")
        settings["schema"] = settings.pop("parameters")
    try:
        return ClientTool(**settings)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a tool can't be made of this: {error}") from error


def ask_user(
    name: str = "ask_user",
    description: str = "Ask the user a question, and wait for the answer.",
) -> ClientTool:
    """Make the tool by which a model asks its user something.

    Its arguments are a `question` and, if the model offers some, `choices`, a list of texts. What
    is answered is for whoever shows the question to say: a text, as a rule.

    Args:
        name: what the model calls it.
        description: what the model reads about it.

    Raises:
        TypeError, ValueError: as for `ClientTool`.
    """
    return ClientTool(name, description=description, schema=_QUESTION)
