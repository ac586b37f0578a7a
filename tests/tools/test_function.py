"""Tools that are functions: what they make of arguments, and where they run."""

import datetime
import functools
import json
import threading
from collections.abc import Callable
from typing import Any, Literal

import attrs
import pytest
import trio

from trio_agent._errors import ToolError
from trio_agent.tools._context import ToolContext
from trio_agent.tools._threads import ToolThreads
from trio_agent.tools._tool import tool


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


async def get_weather(city: str, unit: Literal["c", "f"] = "c", *, at: Point | None = None) -> str:
    await trio.lowlevel.checkpoint()
    return f"{city} {unit} {at}"


def add(a: int, b: int = 1) -> int:
    return a + b


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


# The context


def sell(context: ToolContext[str], n: int, *, to: str = "Ann") -> tuple[str, int, str]:
    """Sell.

    Args:
        context: filled in
        n: how many
    """
    return context.deps, n, to


def test_the_model_knows_nothing_of_the_context() -> None:
    made = tool(sell)
    assert made.takes_context
    assert list(made.schema["properties"]) == ["n", "to"]
    assert made.schema["required"] == ["n"]
    assert "context" not in repr(made.spec)
    assert made.parse({"n": 1}) == {"n": 1}
    with pytest.raises(ToolError, match=r"unknown field `context`; expected fields: n, to"):
        made.parse({"n": 1, "context": {}})


def test_with_a_schema_of_ones_own_too() -> None:
    def forward(context: ToolContext[str], **others: Any) -> Any:
        return context.deps, others

    made = tool(forward, schema={"type": "object"})
    assert made.bind({"a": 1}, ToolContext(deps="shop"))() == ("shop", {"a": 1})


def test_calling_it_takes_the_context() -> None:
    assert tool(sell)(ToolContext(deps="shop"), 1, to="Bo") == ("shop", 1, "Bo")


# Calls


async def test_a_sync_function_is_called_in_a_thread() -> None:
    def where(context: ToolContext[str]) -> tuple[str, bool]:
        return context.deps, threading.current_thread() is threading.main_thread()

    for threads in None, ToolThreads(1):
        context = ToolContext(deps="shop", threads=threads)
        assert await tool(where).call({}, context) == ("shop", False)


async def test_an_async_function_is_awaited() -> None:
    made = tool(get_weather)
    assert await made.call('{"city": "Oslo"}', ToolContext()) == "Oslo c None"

    @tool
    async def whose(context: ToolContext[str], n: int) -> tuple[str, int]:
        await trio.lowlevel.checkpoint()
        return context.call_id, n

    assert await whose.call({"n": 1.0}, ToolContext(call_id="c")) == ("c", 1)


async def test_bound_functions_get_the_context_first() -> None:
    class Service:
        def method(self, context: ToolContext[str], n: int) -> tuple[str, int]:
            return context.deps, n

    context = ToolContext(deps="shop")
    assert await tool(Service().method).call({"n": 1}, context) == ("shop", 1)
    partial = functools.partial(sell, to="Bo")
    assert await tool(partial).call({"n": 1}, context) == ("shop", 1, "Bo")


async def test_arguments_that_do_not_fit_call_nothing() -> None:
    for function in add, get_weather:
        with pytest.raises(ToolError, match="expected fields"):
            await tool(function).call({"x": 1}, ToolContext())
