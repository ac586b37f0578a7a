"""What OpenAI's Responses refuse, in their words.

Sources: the OpenAI API reference, "Create a response"; "Function calling", "Structured outputs";
the errors that users of the API report. Only the first fault of a request is told.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from ._responses_input import check_input
from ._responses_refusals import (
    Refused,
    check_keys,
    check_name,
    check_type,
    check_value,
    required,
)
from ._responses_writer import Ledger
from ._scripted_server import Status, status
from ._strict_rules import schema_faults

_PARAMETERS: Final = (
    *("background", "context_management", "conversation", "include", "input", "instructions"),
    *("max_output_tokens", "max_tool_calls", "metadata", "model", "moderation"),
    *("parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key"),
    *("prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier"),
    *("service_tier", "store", "stream", "stream_options", "temperature", "text"),
    *("tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user"),
)
_TOOL: Final = ("type", "name", "description", "parameters", "strict")
_INCLUDABLE: Final = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
_NEVER_THINKS: Final = re.compile("gpt-3|gpt-4|chatgpt-4")
_LEAST_TOKENS: Final = 16


def refusal_of(body: Any, ledger: Ledger) -> Status | None:
    """Return what the API answers a request that it doesn't take, None for others."""
    try:
        if not isinstance(body, Mapping):
            raise Refused("We could not parse the JSON body of your request.")
        _check(body, ledger)
    except Refused as refused:
        return status(refused.status, body={"error": refused.error})
    return None


def _check(body: Mapping[str, Any], ledger: Ledger) -> None:
    check_keys(body, _PARAMETERS, "")
    if body.get("model") is None:
        raise Refused("Missing required parameter: 'model'.", "model", "missing_required_parameter")
    check_type(body["model"], str, "model")
    _check_include(body)
    most = body.get("max_output_tokens")
    if isinstance(most, int) and most < _LEAST_TOKENS:
        raise Refused(
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >="
            f" {_LEAST_TOKENS}, but got {most} instead.",
            "max_output_tokens",
            "integer_below_min_value",
        )
    tools = body.get("tools") or []
    for number, tool in enumerate(tools):
        _check_tool(tool, f"tools[{number}]")
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("type") == "function":
        name = choice.get("name")
        if name not in {tool.get("name") for tool in tools}:
            raise Refused(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")
    text = body.get("text")
    if isinstance(text, Mapping) and text.get("format") is not None:
        _check_format(text["format"])
    if isinstance(body.get("input"), list):
        check_input(body["input"], ledger, stores=body.get("store") is not False)


def _check_include(body: Mapping[str, Any]) -> None:
    for number, name in enumerate(body.get("include") or ()):
        if name not in _INCLUDABLE:
            names = ", ".join(f"'{each}'" for each in _INCLUDABLE)
            raise Refused(
                f"Invalid value: '{name}'. Supported values are: {names}.",
                f"include[{number}]",
                "invalid_value",
            )
        if name == "reasoning.encrypted_content" and _NEVER_THINKS.match(body["model"]):
            raise Refused("Encrypted content is not supported with this model.", "include")


def _check_format(value: Any) -> None:
    place = "text.format"
    check_type(value, dict, place)
    check_value(value.get("type"), ("text", "json_object", "json_schema"), f"{place}.type")
    if value["type"] != "json_schema":
        return
    check_keys(value, ("type", "name", "description", "schema", "strict"), place)
    check_name(value.get("name"), f"{place}.name")
    check_type(required(value, "schema", place), dict, f"{place}.schema")
    if value.get("strict"):
        for fault in schema_faults(value["schema"]):
            raise Refused(
                f"Invalid schema for response_format '{value['name']}': In context={fault}",
                f"{place}.schema",
                "invalid_json_schema",
            )


def _check_tool(tool: Mapping[str, Any], place: str) -> None:
    check_type(tool, dict, place)
    if tool.get("type") != "function":
        return  # the provider's own
    check_keys(tool, _TOOL, place)
    check_name(tool.get("name"), f"{place}.name")
    # What is left out is strict.
    if tool.get("strict", True) is not False:
        for fault in schema_faults(tool.get("parameters")):
            raise Refused(
                f"Invalid schema for function '{tool['name']}': In context={fault}",
                f"{place}.parameters",
                "invalid_function_parameters",
            )
