import datetime
import enum
import functools
import json
import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal

import attrs
import msgspec
import pytest
import trio

from trio_agent._errors import ToolError
from trio_agent.models._parts import ToolSpec
from trio_agent.tools._tool import Tool, as_tool, encode_output, output_text, tool


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
    assert repr(first).startswith("Tool(name='add', function=<function add at ")
    assert repr(first).endswith(", deadline=None, abandon=False, is_async=False)")
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
    with pytest.raises(ValueError, match=r"is no tool name: .* tool\(name=...\)"):
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
    with pytest.raises(TypeError, match=r"not of Tool\(name='add'"):
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


def test_as_tool() -> None:
    made = tool(add)
    assert as_tool(made) is made
    assert isinstance(as_tool(add), Tool)
    assert as_tool(add).function is add


# Arguments


@pytest.mark.parametrize("encode", [lambda value: value, json.dumps])
def test_parse(encode: Callable[[Any], Any]) -> None:
    parse = tool(get_weather).parse
    assert parse(encode({"city": "Oslo"})) == {"city": "Oslo"}
    assert parse(encode({"at": {"x": 1}, "city": "Oslo", "unit": "f"})) == {
        "city": "Oslo",
        "unit": "f",
        "at": Point(1),
    }


@pytest.mark.parametrize("city", ["New\nYork", "New\tYork", "\ufffd"])
def test_parse_mends_what_is_broken_in_form_only(city: str) -> None:
    written = json.dumps({"city": city}).replace("\\n", "\n").replace("\\t", "\t")
    arguments = written.replace("\\ufffd", "\\ud83d")
    assert tool(get_weather).parse(arguments) == {"city": city}


def test_parse_converts_what_json_cannot_say() -> None:
    @tool
    def function(when: datetime.date, counts: dict[int, float], tags: set[str]) -> None: ...

    assert function.parse({"when": "2024-02-29", "counts": {"1": 2}, "tags": ["a", "a"]}) == {
        "when": datetime.date(2024, 2, 29),
        "counts": {1: 2.0},
        "tags": {"a"},
    }


def test_defaults_are_the_functions_own() -> None:
    sentinel: Any = object()

    @tool
    def function(a: int = sentinel, b: list[int] = [1]) -> tuple[int, list[int]]:  # noqa: B006
        return a, b

    assert function.parse({}) == {}
    assert function(**function.parse({"b": [2]})) == (sentinel, [2])


def test_no_text_is_no_arguments() -> None:
    assert tool(lambda: 1, name="one").parse("") == {}
    with pytest.raises(ToolError, match="missing required field `a`"):
        tool(add).parse("")


@pytest.mark.parametrize(
    ("annotation", "value", "parsed"),
    [
        (int, 5.0, 5),
        (int, -0.0, 0),
        (int, 2.0**53, 2**53),
        (int | None, 5.0, 5),
        (Literal[5], 5.0, 5),
        (list[int], [1.0, 2], [1, 2]),
        (dict[str, Point], {"a": {"x": 1.0, "y": 2.0}}, {"a": Point(1, 2)}),
        (tuple[int, float], [1.0, 2.0], (1, 2.0)),
        (float, 5, 5.0),
        (float, 5.0, 5.0),
        (Any, 5.0, 5.0),
    ],
)
def test_json_has_one_kind_of_number(annotation: Any, value: Any, parsed: Any) -> None:
    def function(x: Any) -> None: ...

    function.__annotations__["x"] = annotation
    result = tool(function).parse(json.dumps({"x": value}))["x"]
    assert result == parsed
    assert type(result) is type(parsed)
    assert repr(result) == repr(parsed)


@pytest.mark.parametrize("value", [5.5, 1e300, 2.0**53 + 2, "5", True, None])
def test_what_means_no_integer(value: Any) -> None:
    with pytest.raises(ToolError, match=r"^Expected `int`, got `\w+` - at `\$.a`"):
        tool(add).parse({"a": value})


FIELDS = r"expected fields: city, unit \(optional\), at \(optional\)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"city": 1}, rf"^Expected `str`, got `int` - at `\$.city`; {FIELDS}$"),
        ({"city": "", "at": {"x": "1"}}, rf"^Expected `int`, got `str` - at `\$.at.x`; {FIELDS}$"),
        ({"city": "", "unit": "k"}, rf"^Invalid enum value 'k' - at `\$.unit`; {FIELDS}$"),
        ({}, f"^Object missing required field `city`; {FIELDS}$"),
        ({"citty": "", "x": 1}, rf"unknown field `citty`; {FIELDS}; unknown fields: citty, x$"),
        ([], f"^Expected `object`, got `array`; {FIELDS}$"),
        (None, f"^Expected `object`, got `null`; {FIELDS}$"),
        ("null", f"^Expected `object`, got `null`; {FIELDS}$"),
        ('"{}"', f"^Expected `object`, got `str`; {FIELDS}$"),
        ('{"city": ', "^the arguments are no valid JSON: Input data was truncated$"),
        ("Oslo", r"^the arguments are no valid JSON: .* \(byte 0\)$"),
        ('"\ud800"x', "^the arguments are no valid JSON: .*surrogates not allowed$"),
        ("[" * 100_000, "^the arguments are nested too deeply$"),
    ],
)
def test_parse_tells_what_to_correct(arguments: Any, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        tool(get_weather).parse(arguments)


def test_corrections_without_parameters() -> None:
    with pytest.raises(ToolError, match="expected fields: none; unknown fields: x"):
        tool(lambda: 1, name="one").parse({"x": 1})


def test_a_correction_is_bounded() -> None:
    with pytest.raises(ToolError) as caught:
        tool(add).parse({"x" * 100_000: 1})
    assert len(str(caught.value)) == 2000


def test_parse_reports_a_validator() -> None:
    def halve(even: Even) -> None: ...

    with pytest.raises(ToolError, match=r"^n must be even - at `\$.even`; expected fields: even$"):
        tool(halve).parse({"even": {"n": 3}})


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


# Outputs


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (None, None),
        ("é", "é"),
        ("a\x00b", "a\x00b"),
        (1.5, 1.5),
        (2**70, 2**70),
        ((1, (2,)), [1, [2]]),
        ({1: {"a"}}, {"1": ["a"]}),
        (Point(1), {"x": 1, "y": 0}),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (enum.Enum("E", "A").A, 1),  # type: ignore[attr-defined]
        (b"hi", "aGk="),
        ([math.nan, math.inf], [None, None]),
    ],
)
def test_encode_output(value: Any, output: Any) -> None:
    encoded = encode_output(value)
    assert encoded == output
    assert type(encoded) is type(output)
    assert msgspec.json.decode(msgspec.json.encode(encoded)) == output


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Service(), "returned a Service that has no JSON form: Encoding objects of type Service"),
        ([object()], "returned a list that has no JSON form: Encoding objects of type object"),
        ({(1, 2): 3}, "returned a dict that has no JSON form: a tuple can't be the key"),
        ("\ud800", "returned a str that has no JSON form: .*surrogates not allowed"),
        (Point(10**5000), "returned a Point that has no JSON form"),
        (msgspec.Raw(b"{oops"), "returned a Raw that has no JSON form: JSON is malformed"),
    ],
)
def test_output_without_json_form(value: Any, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        encode_output(value)


def nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


@pytest.mark.parametrize("depth", [100, 500, 100_000])
def test_deep_output(depth: int) -> None:
    with pytest.raises(ToolError, match="the output is nested too deeply"):
        encode_output(nested(depth))


def test_output_just_not_too_deep() -> None:
    assert encode_output(nested(99)) == nested(99)


def test_output_that_contains_itself() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ToolError, match="the output is nested too deeply"):
        encode_output(value)


def test_output_bound() -> None:
    assert encode_output("é", max_output=4) == "é"
    with pytest.raises(ToolError, match="the output is 4 bytes long, 3 are allowed: ask for less"):
        encode_output("é", max_output=3)
    assert len(encode_output("x" * (2**20 - 2))) == 2**20 - 2
    with pytest.raises(ToolError, match="1048577 bytes long, 1048576 are allowed"):
        encode_output("x" * (2**20 - 1))


@pytest.mark.parametrize(
    ("output", "text"),
    [("plain é", "plain é"), (None, "null"), ({"a": [1, "é"]}, '{"a":[1,"é"]}'), ("", "")],
)
def test_output_text(output: Any, text: str) -> None:
    assert output_text(output) == text
