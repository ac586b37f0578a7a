"""Which schemas a provider can hold a model to, and what becomes of them."""

from typing import Any

import pytest

from trio_agent.models._provider._strict_schema import ANTHROPIC, OPENAI
from trio_agent.testing._strict_rules import schema_faults

TEXT = {"type": "string"}
CLOSED = {"additionalProperties": False}


def an_object(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


def nested(depth: int) -> dict[str, Any]:
    return an_object(x=nested(depth - 1) if depth else TEXT)


WHAT_ANYBODY_TAKES = [
    an_object(),
    an_object(x=TEXT),
    an_object(x=TEXT) | CLOSED,
    {"title": "T", "description": "D.", **an_object(x={"type": ["string", "null"]})},
    an_object(x={"anyOf": [TEXT, an_object(y={"enum": ["a", 1]})]}),
    an_object(x={"type": "array", "items": an_object(y={"const": 1})}),
    an_object(x={"type": "string", "format": "date-time"}),
    an_object(x={"$ref": "#/$defs/X"}) | {"$defs": {"X": an_object(y=TEXT)}},
    an_object([], x={"type": "string", "default": "a"}),
    an_object(x={"oneOf": [an_object(kind={"const": kind}) for kind in "ab"]}),
    nested(9),
]
WHAT_NOBODY_TAKES = [
    {},
    TEXT,
    {"type": "object"},
    {"anyOf": [an_object(x=TEXT)], **an_object(x=TEXT)},
    an_object(x={}),
    an_object(x=True),
    an_object(x={"type": "array"}),
    an_object(x={"type": "object"}),
    an_object(x={"type": "object", "additionalProperties": TEXT}),
    an_object(x=an_object(y=TEXT) | {"additionalProperties": True}),
    an_object(x={"type": "string", "minLength": 1}),
    an_object(x={"type": "string", "format": "color"}),
    an_object(x={"oneOf": [TEXT]}),
    an_object(x={"oneOf": []}),
    an_object(x={"oneOf": [an_object(kind={"const": "a"}, y=TEXT)] * 2}),
    an_object(x={"oneOf": [an_object([], kind={"const": kind}) for kind in "ab"]}),
    an_object(x={"oneOf": [{"properties": {"kind": {"const": "a"}}, "required": ["kind"]}, TEXT]}),
    an_object(x={"type": "array", "items": {"anyOf": [TEXT, {"not": TEXT, "type": "string"}]}}),
    nested(10),
    an_object(**{f"x{number}": TEXT for number in range(5001)}),
]


@pytest.mark.parametrize("schema", WHAT_ANYBODY_TAKES)
def test_what_can_be_held(schema: dict[str, Any]) -> None:
    for subset in (OPENAI, ANTHROPIC):
        narrowed = subset.narrow(schema)
        assert narrowed is not None
        assert list(schema_faults(narrowed)) == []
        assert subset.narrow(narrowed) == narrowed


@pytest.mark.parametrize("schema", WHAT_NOBODY_TAKES)
def test_what_can_not_be_held(schema: dict[str, Any]) -> None:
    assert OPENAI.narrow(schema) is None
    assert ANTHROPIC.narrow(schema) is None


@pytest.mark.parametrize(
    ("schema", "by_openai", "by_anthropic"),
    [
        (an_object([], x=TEXT), False, True),
        (an_object(x={"type": "integer", "minimum": 0, "multipleOf": 2}), True, False),
        (an_object(x={"type": "array", "items": TEXT, "maxItems": 3}), True, False),
        (an_object(x={"type": "string", "format": "uri"}), False, True),
        (an_object(**{f"x{number}": TEXT for number in range(101)}), True, False),
    ],
)
def test_what_one_of_them_holds(
    schema: dict[str, Any], by_openai: bool, by_anthropic: bool
) -> None:
    assert (OPENAI.narrow(schema) is not None) is by_openai
    assert (ANTHROPIC.narrow(schema) is not None) is by_anthropic


def test_a_schema_becomes_narrower_and_stays_as_it_was() -> None:
    inner = an_object(["b"], a={"type": "integer", "default": 1}, b=TEXT)
    schema = an_object(x={"type": "array", "items": inner})
    assert OPENAI.narrow(schema) == CLOSED | an_object(
        x={"type": "array", "items": CLOSED | an_object(a={"type": "integer"}, b=TEXT)}
    )
    assert inner["required"] == ["b"]
    assert "additionalProperties" not in schema


def test_a_property_may_be_called_as_a_word_of_schemas() -> None:
    schema = an_object([], default={"type": "string", "default": "x"}, minLength=TEXT)
    narrowed = ANTHROPIC.narrow(schema)
    assert narrowed is not None
    assert narrowed["properties"] == {"default": TEXT, "minLength": TEXT}
    assert narrowed["required"] == ["default"]
