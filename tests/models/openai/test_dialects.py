"""Forms that some providers want: of call ids and of schemas."""

import datetime
from typing import Any, Literal

import pytest

from trio_agent.models.openai._dialects import gemini_schema, mistral_id, openai_id
from trio_agent.tools import tool


def test_mistral_takes_nine_letters_and_digits() -> None:
    ids = ["", "call_1", "call_2", "call_NZa7xqfefoaMI2YYHowVXVlU", "functions.f:0", "é", "\udc80"]
    made = [mistral_id(id_) for id_ in ids]
    assert all(len(id_) == 9 and id_.isascii() and id_.isalnum() for id_ in made)
    assert len(set(made)) == len(ids)
    assert made == [mistral_id(id_) for id_ in ids]
    assert mistral_id("a1B2c3D4e") == "a1B2c3D4e"


def test_openai_takes_forty_characters() -> None:
    for id_ in ("", "1/7", "call_NZa7xqfefoaMI2YYHowVXVlU", "x" * 40):
        assert openai_id(id_) == id_
    ids = [
        "x" * 41,
        "x" * 42,
        "\udc80" * 41,
        "call_abcdefghijklmnopqrstuvwx/call_abcdefghijklmnopqrs",
    ]
    made = [openai_id(id_) for id_ in ids]
    assert all(len(id_) == 40 and id_.isascii() for id_ in made)
    assert len(set(made)) == len(ids)
    assert made == [openai_id(id_) for id_ in ids]


STRING, INTEGER = {"type": "string"}, {"type": "integer"}


@pytest.mark.parametrize(
    ("schema", "converted"),
    [
        ({"type": "string", "format": "date"}, {"type": "string", "description": "Format: date."}),
        (
            {"type": "string", "format": "uuid", "description": "Which."},
            {"type": "string", "description": "Which. Format: uuid."},
        ),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "string", "default": "x", "title": "X", "examples": ["y"]}, STRING),
        ({"enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
        ({"enum": ["a", None]}, {"type": "string", "enum": ["a"], "nullable": True}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "integer", "description": "One of 1, 2."}),
        (
            {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9, "multipleOf": 2},
            {"type": "integer", "minimum": 1, "maximum": 8},
        ),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "minimum": 0}),
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"type": ["string", "integer"]}, {"anyOf": [STRING, INTEGER]}),
        ({"anyOf": [STRING, {"type": "null"}]}, {"type": "string", "nullable": True}),
        ({"anyOf": [{"type": "null"}]}, {"type": "string", "nullable": True}),
        (
            {"oneOf": [STRING, INTEGER], "description": "X"},
            {"description": "X", "anyOf": [STRING, INTEGER]},
        ),
        ({"allOf": [STRING, {"maxLength": 3}]}, {"type": "string", "maxLength": 3}),
        ({"type": "array"}, {"type": "array", "items": STRING}),
        (
            {"type": "array", "items": INTEGER, "uniqueItems": True},
            {"type": "array", "items": INTEGER},
        ),
        (
            {"type": "array", "prefixItems": [STRING, STRING], "items": False, "minItems": 2},
            {"type": "array", "items": STRING, "minItems": 2},
        ),
        (
            {"type": "array", "prefixItems": [STRING, INTEGER], "items": STRING},
            {"type": "array", "items": {"anyOf": [STRING, INTEGER]}},
        ),
        ({"type": "object", "additionalProperties": INTEGER}, {"type": "object"}),
        (
            {"type": "object", "properties": {"a": STRING}, "required": ["a", "b"]},
            {"type": "object", "properties": {"a": STRING}, "required": ["a"]},
        ),
        ({"$ref": "#/$defs/Name", "description": "X"}, {"type": "string", "description": "X"}),
        (
            {"$ref": "#/$defs/Node"},
            {"type": "object", "properties": {"next": {"type": "object"}}},
        ),
        ({"$ref": "#/nowhere"}, {}),
        (True, STRING),
    ],
)
def test_gemini(schema: Any, converted: Any) -> None:
    root = {
        "type": "object",
        "properties": {"x": schema},
        "$defs": {
            "Name": STRING,
            "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}},
        },
        "additionalProperties": False,
    }
    assert gemini_schema(root) == {"type": "object", "properties": {"x": converted}}


@tool
async def plan(day: datetime.date, place: tuple[float, float], how: Literal[1, 2] = 1) -> None:
    """Plan."""


def test_a_tool_for_gemini() -> None:
    assert gemini_schema(plan.spec.schema) == {
        "type": "object",
        "properties": {
            "day": {"type": "string", "description": "Format: date."},
            "place": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            "how": {"description": "One of 1, 2."},
        },
        "required": ["day", "place"],
    }


def test_gemini_wants_no_schema_of_no_parameters() -> None:
    assert gemini_schema({"type": "object", "properties": {}, "required": []}) == {}
