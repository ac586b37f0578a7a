"""Requests of OpenAI-compatible Chat Completions. Performs no I/O.

The rule: whatever stands in a transcript, what goes back is something that providers take.
A model may write broken arguments or call a name that no tool could have; one such turn must not
spoil all that come behind it.

Source: the OpenAI API reference, "Chat Completions"; what other providers refuse, by their errors.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, assert_never

import attrs

from ..._events import ToolRequest
from ..._messages import (
    AnyMessage,
    AssistantMessage,
    File,
    SystemMessage,
    Text,
    ToolMessage,
    UserMessage,
)
from .._parts import ModelRequest, OutputSpec, ToolSpec, refuse_reserved
from .._provider._file_data import encode_shown
from .._provider._strict_schema import OPENAI
from .._provider._tool_text import sendable_arguments, sendable_name, sendable_output
from ._content import content_part, encode_content
from ._dialects import gemini_schema, mistral_id, openai_id
from ._provider_state import restore_state, wants_reasoning

SystemRole: TypeAlias = Literal["system", "developer", "user"]
EmptyContent: TypeAlias = Literal["null", "empty", "absent"]
CallIds: TypeAlias = Callable[[str], str] | Literal["mistral"]
SchemaDialect: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]] | Literal["gemini"]

CALL_IDS: Final[Mapping[str, Callable[[str], str]]] = {"mistral": mistral_id}
SCHEMA_DIALECTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]] = {
    "gemini": gemini_schema
}

_EMPTY_CONTENT: Final[Mapping[str, dict[str, Any]]] = {
    "null": {"content": None},
    "empty": {"content": ""},
    "absent": {},
}


@attrs.frozen(kw_only=True)
class RequestForm:
    """How requests are written for one provider; by default as OpenAI's reference says.

    Args:
        system_role: the role of instructions and of system messages.
        stream_usage: whether the usage is asked for, by `stream_options`.
        empty_content: what an assistant message has as content if it only calls tools.
        call_ids: makes ids of calls that this provider takes out of any others.
        schema_dialect: makes a schema that this provider takes out of a tool's own.
    """

    system_role: SystemRole = "system"
    stream_usage: bool = True
    empty_content: EmptyContent = "null"
    call_ids: CallIds | None = None
    schema_dialect: SchemaDialect | None = None


def encode_request(
    request: ModelRequest,
    model: str,
    form: RequestForm = RequestForm(),
    *,
    origin: str = "",
) -> dict[str, Any]:
    """Return the JSON body of one streamed call. An `output` is asked for as text by a schema.

    Args:
        request: what is asked.
        model: the model's name.
        form: how requests are written.
        origin: where it goes to: what an endpoint wants back is for nobody else.

    Raises:
        ModelError: `bad-request`: an option would override what the request itself says, or a
            file is nothing that Chat Completions can carry.
    """
    refuse_reserved(request.options)
    writer = _Writer(form, origin)
    messages = writer.messages(request.messages)
    if request.instructions:
        messages.insert(0, {"role": form.system_role, "content": request.instructions})
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": True}
    if form.stream_usage:
        body["stream_options"] = {"include_usage": True}
    body |= request.options
    if request.tools:
        body["tools"] = [writer.tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.output is not None:
        body["response_format"] = writer.response_format(request.output)
    return body


class _Writer:
    """Writes the parts of one request."""

    def __init__(self, form: RequestForm, origin: str) -> None:
        ids, dialect = form.call_ids, form.schema_dialect
        self._origin = origin
        self._wants_reasoning = False
        self._role = form.system_role
        self._empty_content = _EMPTY_CONTENT[form.empty_content]
        self._id = CALL_IDS[ids] if isinstance(ids, str) else ids or openai_id
        self._schema = SCHEMA_DIALECTS[dialect] if isinstance(dialect, str) else dialect or dict

    def messages(self, messages: Sequence[AnyMessage]) -> list[dict[str, Any]]:
        """Write a transcript. A message that says nothing is left out: some refuse it.

        Results are texts; what else came with them is shown behind the last one of their step, for
        nothing may come between them.
        """
        self._wants_reasoning = wants_reasoning(messages, self._origin)
        written: list[dict[str, Any]] = []
        shown: list[Text | File] = []
        for message, calling in zip(messages, _calling_turns(messages), strict=True):
            if shown and not isinstance(message, ToolMessage):
                written.append(_shown(shown))
                shown = []
            if not _is_silence(message):
                written.append(self._message(message, calling))
            if isinstance(message, ToolMessage) and message.files:
                shown += [Text(self._caption(message)), *message.files]
        return [*written, _shown(shown)] if shown else written

    def _caption(self, message: ToolMessage) -> str:
        return f"Files that came with the result of the tool call {self._id(message.tool_call_id)}:"

    def _message(self, message: AnyMessage, calling: bool) -> dict[str, Any]:
        match message:
            case SystemMessage(content=text):
                return {"role": self._role, "content": text}
            case UserMessage(content=content):
                return {"role": "user", "content": encode_content(content)}
            case AssistantMessage(content=text, tool_calls=calls):
                said = {"content": text} if text or not calls else self._empty_content
                encoded: dict[str, Any] = {"role": "assistant", **said}
                if calls:
                    encoded["tool_calls"] = [self._call(call) for call in calls]
                restore_state(encoded, message, self._origin, calling=calling)
                if calling and self._wants_reasoning:
                    encoded.setdefault("reasoning_content", "")
                return encoded
            case ToolMessage(tool_call_id=id_, content=text):
                output = sendable_output(text)
                return {"role": "tool", "tool_call_id": self._id(id_), "content": output}
            case _:
                assert_never(message)

    def _call(self, call: ToolRequest) -> dict[str, Any]:
        return {
            "id": self._id(call.id),
            "type": "function",
            "function": {
                "name": sendable_name(call.name),
                "arguments": sendable_arguments(call.input),
            },
        }

    def tool(self, tool: ToolSpec) -> dict[str, Any]:
        function: dict[str, Any] = {"name": tool.name}
        if tool.description:
            function["description"] = tool.description
        if schema := self._schema(tool.schema):
            function["parameters"] = schema
        if tool.strict is not None:
            function["strict"] = tool.strict
        return {"type": "function", "function": function}

    def response_format(self, output: OutputSpec) -> dict[str, Any]:
        schema = self._schema(output.schema) or output.schema
        narrow = OPENAI.narrow(schema)
        said = {"name": output.name, "schema": narrow or schema, "strict": narrow is not None}
        if output.description:
            said["description"] = output.description
        return {"type": "json_schema", "json_schema": said}


def _shown(parts: Sequence[Text | File]) -> dict[str, Any]:
    return {"role": "user", "content": list(encode_shown(parts, content_part))}


def _tool_choice(choice: str) -> Any:
    if choice in ("auto", "none", "required"):
        return choice
    return {"type": "function", "function": {"name": choice}}


def _is_silence(message: AnyMessage) -> bool:
    return isinstance(message, AssistantMessage) and not message.content and not message.tool_calls


def _calling_turns(messages: Sequence[AnyMessage]) -> list[bool]:
    """Say for each message whether tools were called in its turn, which a user message begins."""
    calling: list[bool] = []
    turn = 0
    for number, message in enumerate(messages):
        if isinstance(message, UserMessage):
            turn = number
        calling.append(calling[-1] if number > turn else False)
        if isinstance(message, AssistantMessage) and message.tool_calls and not calling[-1]:
            calling[turn:] = [True] * (number + 1 - turn)
    return calling
