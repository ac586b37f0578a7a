"""What Responses refuse: parameters and tools."""

import json
from typing import Any

import pytest

from trio_agent.testing._responses_rules import refusal_of
from trio_agent.testing._responses_writer import Ledger
from trio_agent.testing._scripted_server import Status

BODY = {"model": "m", "input": "Hi", "stream": True}


def refused(body: Any) -> Any:
    answer = refusal_of(body, Ledger())
    return None if answer is None else (answer.code, json.loads(answer.body)["error"])


def tool(**fields: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    return {"tools": [{"type": "function", "name": "f", "parameters": schema, **fields}]}


def strict(schema: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return tool(parameters={"additionalProperties": False, "type": "object", **schema}, **fields)


def shape(schema: Any, **fields: Any) -> dict[str, Any]:
    said = {"type": "json_schema", "name": "final", "schema": schema, **fields}
    return {"text": {"format": {name: each for name, each in said.items() if each is not None}}}


INNER = {"type": "object", "properties": {"y": {}}, "required": ["y"]}
NO_MORE = "'additionalProperties' is required to be supplied and to be false."
MISSING = "'required' is required to be supplied and to be an array including every key in"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input": []},
        {"store": False, "include": ["reasoning.encrypted_content"], "max_output_tokens": 16},
        {"reasoning": {"effort": "low"}, "text": {}, "parallel_tool_calls": False, "metadata": {}},
        tool(),
        tool(strict=True),
        tool(strict=False, parameters={"type": "object", "properties": {"x": {}}}),
        strict({"properties": {"x": {"type": "string"}}, "required": ["x"]}),
        {**tool(), "tool_choice": {"type": "function", "name": "f"}},
        {**tool(), "tool_choice": "required"},
        {"tools": [{"type": "web_search"}]},
        {"text": {"format": {"type": "text"}, "verbosity": "low"}},
        shape({"type": "object", "properties": {"x": {}}}),
        shape({"type": "object", "additionalProperties": False}, strict=True, description="A."),
    ],
)
def test_what_is_taken(fields: dict[str, Any]) -> None:
    assert refused({**BODY, **fields}) is None


@pytest.mark.parametrize(
    ("fields", "param", "code", "message"),
    [
        ({"temprature": 1}, "temprature", "unknown_parameter", "Unknown parameter: 'temprature'."),
        ({"messages": []}, "messages", "unknown_parameter", "Unknown parameter: 'messages'."),
        (
            {"model": None}, "model", "missing_required_parameter",
            "Missing required parameter: 'model'.",
        ),
        (
            {"include": ["reasoning"]}, "include[0]", "invalid_value",
            "Invalid value: 'reasoning'. Supported values are: 'file_search_call.results',",
        ),
        (
            {"model": "gpt-4o", "include": ["reasoning.encrypted_content"]}, "include", None,
            "Encrypted content is not supported with this model.",
        ),
        (
            {"max_output_tokens": 9}, "max_output_tokens", "integer_below_min_value",
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16,",
        ),
        (
            tool(name="a.b"), "tools[0].name", "invalid_value",
            "Invalid 'tools[0].name': string does not match pattern. Expected a string that",
        ),
        (
            tool(name="a" * 65), "tools[0].name", "string_above_max_length",
            "Invalid 'tools[0].name': string too long. Expected a string with maximum length 64,",
        ),
        ({"model": 7}, "model", "invalid_type", "Invalid type for 'model': expected a string."),
        ({"tools": ["f"]}, "tools[0]", "invalid_type", "Invalid type for 'tools[0]'"),
        (
            {"tools": [{"type": "function", "strict": False}]},
            "tools[0].name", "missing_required_parameter",
            "Missing required parameter: 'tools[0].name'.",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            "tools[0].function", "unknown_parameter", "Unknown parameter: 'tools[0].function'.",
        ),
        (
            tool(parameters={"type": "object"}),
            "tools[0].parameters", "invalid_function_parameters",
            f"Invalid schema for function 'f': In context=(), {NO_MORE}",
        ),
        (
            strict({"properties": {"x": {}}}, strict=True),
            "tools[0].parameters", "invalid_function_parameters",
            f"Invalid schema for function 'f': In context=(), {MISSING} properties. Missing 'x'.",
        ),
        *(
            (
                strict({**schema, "required": list(schema.get("properties", ()))}),
                "tools[0].parameters", "invalid_function_parameters",
                f"Invalid schema for function 'f': In context={context}, {NO_MORE}",
            )
            for schema, context in (
                ({"properties": {"x": INNER}}, "('properties', 'x')"),
                (
                    {"properties": {"x": {"type": "array", "items": INNER}}},
                    "('properties', 'x', 'items')",
                ),
                (
                    {"properties": {"x": {"anyOf": [{"type": "null"}, INNER]}}},
                    "('properties', 'x', 'anyOf', '1')",
                ),
                ({"$defs": {"D": INNER}}, "('$defs', 'D')"),
            )
        ),
        (
            {**tool(), "tool_choice": {"type": "function", "name": "g"}}, "tool_choice", None,
            "Tool choice 'g' not found in 'tools' parameter.",
        ),
        (
            {"text": {"format": {"type": "yaml"}}}, "text.format.type", "invalid_value",
            "Invalid value: 'yaml'. Supported values are: 'text', 'json_object', 'json_schema'.",
        ),
        (
            {"text": {"format": "text"}}, "text.format", "invalid_type",
            "Invalid type for 'text.format': expected an object.",
        ),
        (
            shape({}, json_schema={}), "text.format.json_schema", "unknown_parameter",
            "Unknown parameter: 'text.format.json_schema'.",
        ),
        (
            shape({}, name="a b"), "text.format.name", "invalid_value",
            "Invalid 'text.format.name': string does not match pattern.",
        ),
        (
            shape(None), "text.format.schema", "missing_required_parameter",
            "Missing required parameter: 'text.format.schema'.",
        ),
        (
            shape({"type": "object"}, strict=True), "text.format.schema", "invalid_json_schema",
            f"Invalid schema for response_format 'final': In context=(), {NO_MORE}",
        ),
        (
            {"input": [{"type": "thought"}]}, "input[0]", "invalid_value",
            "Invalid value: 'thought'. Supported values are: 'message',",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(fields: Any, param: str, code: str | None, message: str) -> None:
    status, error = refused({**BODY, **fields})
    assert status == 400
    assert error["message"].startswith(message)
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("body", [None, "{no json", []])
def test_what_is_no_request(body: Any) -> None:
    answer = refusal_of(body, Ledger())
    assert isinstance(answer, Status)
    assert answer.code == 400
