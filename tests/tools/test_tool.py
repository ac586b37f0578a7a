import datetime
import functools
import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal

import attrs
import pytest
import trio

from trio_agent._errors import ToolError
from trio_agent.models._parts import ToolSpec
from trio_agent.tools._context import ToolContext
from trio_agent.tools._function import FunctionTool
from trio_agent.tools._tool import as_tool, tool


@attrs.frozen
class Point:
    x: int
    y: int = 0


@attrs.frozen
class Even:
    n: int

    def __attrs_post_init__(self) -> None:
        if self.n % 2:
            raise ValueError("n must be even")


@attrs.frozen
class Node:
    next: "Node | None" = None


async def get_weather(city: str, unit: Literal["c", "f"] = "c", *, at: Point | None = None) -> str:
    """Look up the weather.

    It is an estimate.

    Args:
        city: where
    """
    await trio.lowlevel.checkpoint()
    return f"{city} {unit} {at}"


def add(a: int, b: int = 1) -> int:
    return a + b


class Service:
    async def ask(self, x: int) -> int:
        """Ask it."""
        return x

    async def __call__(self, y: int) -> int:
        """Call it."""
        return y


# Making tools


async def test_async_function() -> None:
    made = tool(get_weather)
    assert (made.name, made.description) == ("get_weather", "Look up the weather.")
    assert (made.is_async, made.deadline, made.abandon) == (True, None, False)
    assert made.function is get_weather
    assert made.schema["properties"]["city"] == {"type": "string", "description": "where"}
    assert made.spec == ToolSpec("get_weather", "Look up the weather.", made.schema)
    assert await made("Oslo", at=Point(1)) == "Oslo c Point(x=1, y=0)"


def test_sync_function_with_arguments() -> None:
    @tool(name="sum-2", description="Add.", deadline=1.5, abandon=True)
    def plus(a: int, b: int) -> int:
        """Not this."""
        return a + b

    assert (plus.name, plus.description) == ("sum-2", "Add.")
    assert (plus.is_async, plus.deadline, plus.abandon) == (False, 1.5, True)
    assert plus(1, b=2) == 3


def test_an_empty_description_is_one() -> None:
    assert tool(get_weather, description="").description == ""
    assert tool(add).description == ""


def test_identity_and_repr() -> None:
    first, second = tool(add), tool(add)
    assert first != second
    assert len({first, second, first}) == 2
    assert repr(first).startswith("FunctionTool(name='add', function=<function add at ")
    assert repr(first).endswith(
        ", deadline=None, abandon=False, is_async=False, takes_context=False)"
    )
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        first.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("function", "name", "description", "fields", "is_async"),
    [
        (Service().ask, "ask", "Ask it.", ["x"], True),
        (Service(), "Service", "Call it.", ["y"], True),
        (functools.partial(Service(), 1), "Service", "Call it.", [], True),
        (
            functools.partial(get_weather, "Oslo"),
            "get_weather",
            "Look up the weather.",
            ["unit", "at"],
            True,
        ),
        (functools.partial(add, b=2), "add", "", ["a"], False),
        (functools.lru_cache(add), "add", "", ["a", "b"], False),
    ],
)
def test_other_callables(
    function: Callable[..., Any], name: str, description: str, fields: list[str], is_async: bool
) -> None:
    made = tool(function)
    assert (made.name, made.description) == (name, description)
    assert list(made.schema["properties"]) == fields
    assert made.is_async is is_async


def test_wrappers_are_async_if_they_say_so() -> None:
    @functools.wraps(add)
    async def wrapper(*args: Any, **kwargs: Any) -> int:
        await trio.lowlevel.checkpoint()
        return add(*args, **kwargs)

    made = tool(wrapper)
    assert made.is_async
    assert list(made.schema["properties"]) == ["a", "b"]


@pytest.mark.parametrize("name", ["", "a b", "é", "a.b", "x" * 65, "a\n"])
def test_bad_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no tool name: give it .* with name="):
        tool(add, name=name)


def test_names_at_the_bounds() -> None:
    assert tool(add, name="x").name == "x"
    assert tool(add, name="Az09_-" + "x" * 58).name.endswith("x" * 58)


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(ValueError, match="'<lambda>' is no tool name"):
        tool(lambda: 1)
    assert tool(lambda: 1, name="one").name == "one"


@pytest.mark.parametrize("deadline", [0, -1, math.nan])
def test_bad_deadlines(deadline: float) -> None:
    with pytest.raises(ValueError, match="deadline of tool 'add' must be positive, not"):
        tool(add, deadline=deadline)


@pytest.mark.parametrize("function", [get_weather, Service(), Service().ask])
def test_async_tools_are_never_abandoned(function: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="is async, so it can be cancelled: abandon=True is for"):
        tool(function, abandon=True)


@pytest.mark.parametrize("obj", ["add", 3, Point, {"name": "add"}])
def test_what_is_no_tool(obj: Any) -> None:
    for make in as_tool, tool, tool(deadline=1):
        with pytest.raises(TypeError, match="made of a function or another callable, not of"):
            make(obj)


def test_a_tool_is_made_once() -> None:
    with pytest.raises(TypeError, match=r"not of FunctionTool\(name='add'"):
        tool(tool(add))


def test_generators_have_no_result() -> None:
    async def stream() -> AsyncIterator[int]:
        await trio.lowlevel.checkpoint()
        yield 1

    def numbers() -> Iterator[int]:
        yield 1

    for function in stream, numbers:
        with pytest.raises(TypeError, match="is a generator, but a tool has one result: return it"):
            tool(function)


def test_a_bad_signature_names_its_tool() -> None:
    with pytest.raises(TypeError, match=r"tool 'any': .*args has no schema"):
        tool(lambda *args: None, name="any")
    with pytest.raises(TypeError, match="tool 'lock': parameter 'x': Service has no JSON form"):

        @tool
        def lock(x: Service) -> None: ...


def test_a_context_out_of_place_names_its_tool() -> None:
    def sell(n: int, context: ToolContext[str]) -> None: ...

    with pytest.raises(TypeError, match="tool 'sell': 'context' can't come from a model"):
        tool(sell)


def test_as_tool() -> None:
    made = tool(add)
    assert as_tool(made) is made
    other = as_tool(add)
    assert isinstance(other, FunctionTool)
    assert other.function is add


# A schema of one's own

DAY = {
    "type": "object",
    "properties": {"day": {"type": "string"}, "note": {"type": "string"}},
    "required": ["day"],
}


def test_a_schema_of_ones_own() -> None:
    """It is sent as it is; the annotations convert all the same."""

    @tool(schema=DAY, strict=True)
    def book(day: datetime.date, note="") -> None:  # type: ignore[no-untyped-def]
        ...

    assert book.spec == ToolSpec("book", "", DAY, strict=True)
    assert book.schema is not DAY
    assert book.parse({"day": "2024-02-29"}) == {"day": datetime.date(2024, 2, 29)}
    assert book.parse({"day": "2024-02-29", "note": [1]})["note"] == [1]
    expected = r"expected fields: day, note \(optional\)"
    with pytest.raises(ToolError, match=rf"^Invalid RFC3339.* - at `\$.day`; {expected}$"):
        book.parse({"day": "tomorrow"})
    with pytest.raises(ToolError, match=rf"unknown field `x`; {expected}; unknown fields: x$"):
        book.parse({"day": "2024-02-29", "x": 1})


def test_a_function_that_takes_anything() -> None:
    @tool(schema=DAY)
    def forward(day: str, **others: Any) -> dict[str, Any]:
        return {"day": day, **others}

    arguments = {"day": "today", "note": {"x": [1.0]}, "__class__": 1}
    assert forward.parse(arguments) == arguments
    assert forward(**forward.parse(arguments)) == arguments
    with pytest.raises(ToolError, match="missing required field `day`; expected fields: day, note"):
        forward.parse({"x": 1})


def test_what_contains_itself_is_for_a_schema_of_ones_own() -> None:
    def walk(node: Node) -> None: ...

    with pytest.raises(TypeError, match="Node contains itself"):
        tool(walk)
    made = tool(walk, schema={"type": "object"})
    assert made.parse({"node": {"next": {}}}) == {"node": Node(Node(None))}


def test_whether_a_call_may_be_made_twice() -> None:
    assert tool(add).retry_safe is False
    assert tool(add, retry_safe=True).retry_safe is True
    with pytest.raises(TypeError, match="retry_safe of tool 'add' is True or False, not 'yes'"):
        tool(add, retry_safe="yes")  # type: ignore[call-overload]


def test_strict_is_up_to_you() -> None:
    assert tool(add).spec.strict is None
    assert tool(add, strict=False).spec.strict is False


@pytest.mark.parametrize(
    ("function", "schema", "error", "message"),
    [
        (add, [], TypeError, r"tool 'add': a schema is a dict, not \[\]"),
        (add, {"type": object()}, TypeError, "tool 'add': Encoding objects of type object"),
        (add, {"type": "array"}, ValueError, "tool 'add': the schema of arguments has"),
        (add, {}, ValueError, "tool 'add': the schema of arguments has"),
        (lambda *a: 1, {"type": "object"}, TypeError, r"\*a has no schema"),
        (lambda a, /: 1, {"type": "object"}, TypeError, "'a' is positional-only"),
    ],
)
def test_bad_schemas(function: Any, schema: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tool(function, name="add", schema=schema)
