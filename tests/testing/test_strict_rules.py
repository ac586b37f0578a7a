"""What OpenAI refuses of a schema that is strict."""

from typing import Any

import pytest

from trio_agent.testing._strict_rules import schema_faults

CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}
INNER = {"type": "object", "properties": {"y": {}}, "required": ["y"]}
NO_MORE = "'additionalProperties' is required to be supplied and to be false."

MISSING = (
    "'required' is required to be supplied and to be an array including every key in properties."
    " Missing"
)


@pytest.mark.parametrize(
    ("schema", "faults"),
    [
        (CLOSED, []),
        ({**CLOSED, "properties": {"default": {"type": "string"}}, "required": ["default"]}, []),
        (None, []),
        ({"type": "object"}, [f"(), {NO_MORE}"]),
        (
            {**CLOSED, "properties": {"x": {}}},
            [f"(), {MISSING} 'x'."],
        ),
        ({"items": INNER}, [f"('items',), {NO_MORE}"]),
        ({"anyOf": [{}, INNER]}, [f"('anyOf', '1'), {NO_MORE}"]),
        ({"$defs": {"D": INNER}}, [f"('$defs', 'D'), {NO_MORE}"]),
        (
            {"items": {"default": 1, "oneOf": []}},
            [
                "('items',), 'default' is not permitted.",
                "('items',), 'oneOf' is not permitted.",
            ],
        ),
    ],
)
def test_faults(schema: Any, faults: list[str]) -> None:
    assert list(schema_faults(schema)) == faults
