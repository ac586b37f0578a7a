"""What Anthropic's Messages API refuses, in its words. Pure.

Source: Anthropic's API reference, "Messages"; its documentation, "Extended thinking", "Structured
outputs" and "Tool use"; and the messages of refusals that its users report.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._scripted_server import RecordedRequest

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_THOUGHTS = ("thinking", "redacted_thinking")
_BLOCKS = (
    *("text", "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use"),
    *("tool_result", "server_tool_use", "web_search_tool_result", "web_fetch_tool_result"),
    *("code_execution_tool_result", "bash_code_execution_tool_result", "container_upload"),
    *("text_editor_code_execution_tool_result", "tool_search_tool_result"),
)
_IN_RESULTS = ("text", "image", "document", "search_result")
_NOT_HELD = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength"),
    *("maxLength", "maxItems", "uniqueItems"),
)
_DISABLE = "To avoid this requirement, disable `thinking`."


def signature_of(thinking: str, model: str) -> str:
    """Sign what a model thought."""
    return hashlib.sha256(f"{model}\0{thinking}".encode()).hexdigest()


def sealed(hidden: str, model: str) -> str:
    """Seal what a model thought and nobody may read."""
    return f"{hidden}.{signature_of(hidden, model)}"


def refusal_of(request: RecordedRequest) -> str | None:
    """Return what the API says when it refuses a request, None if it doesn't."""
    if "anthropic-version" not in request.headers:
        return "anthropic-version: header is required"
    if not isinstance(request.body, dict):
        return "The request body is not valid JSON"
    return next(_refusals(request.body), None)


def _refusals(body: Mapping[str, Any]) -> Iterator[str]:
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            yield f"{name}: Field required"
    if body["max_tokens"] < 1:
        yield "max_tokens: Input should be greater than or equal to 1"
    yield from _of_tools(body)
    yield from _of_format((body.get("output_config") or {}).get("format"))
    turns = [_as_blocks(message) for message in body["messages"]]
    if not turns:
        yield "messages: at least one message is required"
    for number, turn in enumerate(turns):
        yield from _of_turn(turn, f"messages.{number}", is_last=number == len(turns) - 1)
    if turns[0]["role"] != "user":
        yield 'messages: first message must use the "user" role'
    yield from _of_results(turns)
    yield from _of_thinking(body, turns)


def _as_blocks(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    return {"role": message.get("role"), "content": blocks}


def _of_tools(body: Mapping[str, Any]) -> Iterator[str]:
    tools, choice = body.get("tools", []), body.get("tool_choice")
    for number, tool in enumerate(tools):
        if tool.get("type", "custom") != "custom":
            continue  # one that the provider runs
        place = f"tools.{number}.custom"
        if not _NAME.fullmatch(tool.get("name", "")):
            yield f"{place}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        if "input_schema" not in tool:
            yield f"{place}.input_schema: Field required"
        elif tool["input_schema"].get("type") != "object":
            yield f"{place}.input_schema.type: Input should be 'object'"
    names = [tool.get("name") for tool in tools]
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."
    if choice is not None and not tools:
        yield "tool_choice may only be specified while providing tools."
    if choice is not None and choice["type"] == "tool" and choice["name"] not in names:
        yield f"Tool '{choice['name']}' not found in provided tools"


def _of_format(value: Any) -> Iterator[str]:
    if value is None:
        return
    if value.get("type") != "json_schema":
        yield "output_config.format.type: Input should be 'json_schema'"
    left = [value.get("schema")]
    if not isinstance(left[0], Mapping):
        yield "output_config.format.schema: Field required"
    while left:
        schema = left.pop()
        type_ = schema.get("type")
        if type_ == "object" and schema.get("additionalProperties") is not False:
            yield (
                "output_config.format.schema: For 'object' type, 'additionalProperties' must be"
                " explicitly set to false"
            )
        for name in _NOT_HELD:
            if name in schema:
                yield (
                    f"output_config.format.schema: For '{type_}' type, property '{name}' is not"
                    " supported"
                )
        left += [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
        left += [schema["items"]] if "items" in schema else []


def _of_turn(turn: Mapping[str, Any], place: str, *, is_last: bool) -> Iterator[str]:
    role, blocks = turn["role"], turn["content"]
    if role == "system":
        yield f"{place}: role 'system' is not supported on this model"
    if role not in ("user", "assistant"):
        yield f"{place}.role: Input should be 'user' or 'assistant'"
    if not blocks and not (is_last and role == "assistant"):
        yield (
            f"{place}: all messages must have non-empty content except for the optional final"
            " assistant message"
        )
    for number, block in enumerate(blocks):
        yield from _of_block(block, f"{place}.content.{number}")
    if is_last and role == "assistant" and blocks and blocks[-1]["type"] == "text":
        text = blocks[-1]["text"]
        if text != text.rstrip():
            yield "messages: final assistant content cannot end with trailing whitespace"


def _of_block(block: Mapping[str, Any], place: str) -> Iterator[str]:
    match block.get("type"):
        case "text" if not block["text"]:
            yield "messages: text content blocks must be non-empty"
        case "text" if not block["text"].strip():
            yield "messages: text content blocks must contain non-whitespace text"
        case "image" if block["source"]["type"] == "base64":
            if block["source"]["media_type"] not in _IMAGES:
                names = "'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
                yield f"{place}.image.source.base64.media_type: Input should be {names}"
        case "tool_use":
            if not _ID.fullmatch(block["id"]):
                yield f"{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
            if not _NAME.fullmatch(block["name"]):
                pattern = "'^[a-zA-Z0-9_-]{1,128}$'"
                yield f"{place}.tool_use.name: String should match pattern {pattern}"
            if not isinstance(block.get("input"), dict):
                yield f"{place}.tool_use.input: Input should be a valid dictionary"
        case "tool_result" if isinstance(block.get("content"), list):
            yield from _of_content(block, f"{place}.tool_result")
        case type_ if type_ not in _BLOCKS:
            yield _no_such_tag(type_, _BLOCKS, place)


def _of_content(result: Mapping[str, Any], place: str) -> Iterator[str]:
    for number, block in enumerate(result["content"]):
        if block.get("type") not in _IN_RESULTS:
            yield _no_such_tag(block.get("type"), _IN_RESULTS, f"{place}.content.{number}")
        if result.get("is_error") and block["type"] != "text":
            yield f"{place}: all content must be type `text` if `is_error` is true"
        yield from _of_block(block, f"{place}.content.{number}")


def _no_such_tag(type_: Any, known: Sequence[str], place: str) -> str:
    return (
        f"{place}: Input tag '{type_}' found using 'type' does not match any of the expected tags:"
        f" {', '.join(map(repr, known))}"
    )


def _of_results(turns: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    seen: set[str] = set()
    for number, turn in enumerate(turns):
        ids = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
        if len(set(ids)) < len(ids) or seen & set(ids):
            yield "messages: `tool_use` ids must be unique"
        seen |= set(ids)
        answered = _leading_results(turns[number + 1]) if number + 1 < len(turns) else []
        if missing := [id_ for id_ in ids if id_ not in answered]:
            yield (
                f"messages.{number}: `tool_use` ids were found without `tool_result` blocks"
                f" immediately after: {', '.join(missing)}. Each `tool_use` block must have a"
                " corresponding `tool_result` block in the next message."
            )
        yield from _of_unexpected(turn, turns[number - 1] if number else None, number)


def _leading_results(turn: Mapping[str, Any]) -> list[str]:
    ids = []
    for block in turn["content"]:
        if block["type"] != "tool_result":
            break
        ids.append(block["tool_use_id"])
    return ids


def _of_unexpected(
    turn: Mapping[str, Any], before: Mapping[str, Any] | None, number: int
) -> Iterator[str]:
    blocks = before["content"] if before is not None else []
    called = {block["id"] for block in blocks if block["type"] == "tool_use"}
    answered: set[str] = set()
    for position, block in enumerate(turn["content"]):
        if block["type"] != "tool_result":
            continue
        place, id_ = f"messages.{number}.content.{position}", block["tool_use_id"]
        if id_ not in called:
            yield (
                f"{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id_}. Each"
                " `tool_result` block must have a corresponding `tool_use` block in the previous"
                " message."
            )
        if id_ in answered:
            yield (
                f"{place}: each tool_use must have a single result. Found multiple `tool_result`"
                f" blocks with id: {id_}"
            )
        answered.add(id_)


def _of_thinking(body: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    thinking: Mapping[str, Any] = body.get("thinking") or {"type": "disabled"}
    is_manual, is_on = thinking["type"] == "enabled", thinking["type"] != "disabled"
    if is_on and body.get("temperature", 1) != 1:
        yield "`temperature` may only be set to 1 when thinking is enabled."
    if is_manual:
        budget = thinking.get("budget_tokens", 0)
        if budget < 1024:
            yield ("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= body["max_tokens"]:
            yield "`max_tokens` must be greater than `thinking.budget_tokens`."
        if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
            yield "Thinking may not be enabled when tool_choice forces tool use."
        yield from _of_begin(turns)
    if not is_on and turns[-1]["role"] == "assistant":
        for position, block in enumerate(turns[-1]["content"]):
            if block["type"] in _THOUGHTS:
                yield (
                    f"messages.{len(turns) - 1}.content.{position}: When thinking is disabled, an"
                    f" `assistant` message in the final position cannot contain `{block['type']}`."
                    " To use thinking blocks, enable `thinking` in your request."
                )
    for number, turn in enumerate(turns):
        for position, block in enumerate(turn["content"]):
            if block["type"] in _THOUGHTS and not _is_ours(block, body["model"]):
                what = "signature" if block["type"] == "thinking" else "data"
                place = f"messages.{number}.content.{position}"
                yield f"{place}: Invalid `{what}` in `{block['type']}` block"


def _of_begin(turns: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The turn in progress, which all answers of a tool loop are, begins with a thought."""
    number = len(turns) - 1
    while number > 0 and turns[number]["role"] == "user":
        if not _leading_results(turns[number]):
            break
        number -= 1
        if number < 2 or not _leading_results(turns[number - 1]):
            break
        number -= 1
    if turns[number]["role"] != "assistant" or not turns[number]["content"]:
        return
    type_ = turns[number]["content"][0]["type"]
    if type_ not in _THOUGHTS:
        yield (
            f"messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`, but"
            f" found `{type_}`. When `thinking` is enabled, a final `assistant` message must start"
            " with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result`"
            f" blocks). We recommend you include thinking blocks from previous turns. {_DISABLE}"
        )


def _is_ours(block: Mapping[str, Any], model: str) -> bool:
    if block["type"] == "thinking":
        return bool(block.get("signature") == signature_of(block["thinking"], model))
    hidden, _, _ = str(block["data"]).rpartition(".")
    return bool(block["data"] == sealed(hidden, model))
