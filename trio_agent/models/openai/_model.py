"""A model behind an OpenAI-compatible endpoint."""

from collections.abc import Mapping
from typing import Any, Final

import attrs
from attrs.validators import in_, instance_of

from .._provider._codec import Codec
from .._provider._endpoint import Endpoint, Provider
from .._provider._openai_account import OpenAIAccountModel
from ._chat import ChatCodec
from ._request import (
    CALL_IDS,
    SCHEMA_DIALECTS,
    CallIds,
    EmptyContent,
    RequestForm,
    SchemaDialect,
    SystemRole,
)
from ._think_tags import TagsSetting

OPENAI: Final = Provider(
    id="openai",
    title="OpenAI",
    base_url="https://api.openai.com/v1",
    variables="OPENAI",
    path="/chat/completions",
    suffixes=("/chat/completions",),
)

_flag: Final = instance_of(bool)


def _named(functions: Mapping[str, Any]) -> Any:
    """Make a validator for what is a function, or the name of one of these."""

    def check(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if not (value is None or callable(value) or value in functions):
            names = ", ".join(map(repr, functions))
            raise ValueError(f"{attribute.name} is a function or one of {names}, not {value!r}")

    return check


def _check_think_tags(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not (isinstance(value, bool) or value == "opened"):
        raise ValueError(f"'{attribute.name}' must be True, False or 'opened', not {value!r}")


@attrs.frozen(eq=False)
class OpenAIModel(OpenAIAccountModel):
    """A model behind an endpoint that speaks OpenAI's Chat Completions.

    Failures aren't retried here. Deadlines are in seconds; they don't run while the model waits
    for `emit`.

    Args:
        name: the model's name at the provider.
        base_url: by default `OPENAI_BASE_URL` of the environment, or else OpenAI. It may end in
            `/chat/completions`, and have a query, which is sent with each request.
        api_key: by default `OPENAI_API_KEY` of the environment. Endpoints other than OpenAI's
            may need none. A function, sync or async, is asked for it before each request; it
            must not block, and the deadline of the first token covers it.
        options: for every request, passed on as they are (`temperature`, ...). Those of a
            request win.
        headers: for every request. They win over those that are made of other arguments.
        organization: sent as `OpenAI-Organization`.
        project: sent as `OpenAI-Project`.
        system_role: the role of the instructions and of system messages, which is `"developer"`
            or `"user"` for some models.
        stream_usage: whether the usage is asked for, by `stream_options`, which some endpoints
            refuse.
        empty_content: what stands as content beside tool calls if the model said nothing:
            ``"null"``, ``"empty"`` for an empty text, ``"absent"`` for no field at all.
        call_ids: a function that makes an id which this provider takes out of the id of any tool
            call. ``"mistral"`` is one: nine letters and digits. It must give the same id each
            time, and different ones for different calls.
        schema_dialect: a function that makes a JSON Schema which this provider takes out of that
            of a tool; without a schema, a tool has no `parameters`. ``"gemini"`` is one.
        think_tags: whether text within `<think>` and `</think>` is reasoning; ``"opened"`` if the
            model's template opens it, so that only `</think>` comes.
        output_mode: how an answer that has a shape is asked for: ``"schema"``, as text that the
            provider holds to a JSON Schema, or ``"tool"``, as the input of a tool. By default
            what suits the endpoint, the model and the request.
        client: an `httpx.AsyncClient`, or one with the same API, to use instead of an own one.
            It is never closed here.
        connect_deadline: to connect, and again to agree on TLS.
        first_token_deadline: from the begin of a call to the first part of its answer.
        between_tokens_deadline: from one part to the next, or to the end; at most a tenth more.
        keep_alive_counts: whether whatever comes, such as comments and empty deltas, moves the
            deadlines as a part does. A provider that sends these can then be silent forever.

    Raises:
        ValueError, TypeError: an argument is none of these.
    """

    system_role: SystemRole = attrs.field(
        default="system", kw_only=True, validator=in_(("system", "developer", "user"))
    )
    stream_usage: bool = attrs.field(default=True, kw_only=True, validator=_flag)
    empty_content: EmptyContent = attrs.field(
        default="null", kw_only=True, validator=in_(("null", "empty", "absent"))
    )
    call_ids: CallIds | None = attrs.field(default=None, kw_only=True, validator=_named(CALL_IDS))
    schema_dialect: SchemaDialect | None = attrs.field(
        default=None, kw_only=True, validator=_named(SCHEMA_DIALECTS)
    )
    think_tags: TagsSetting = attrs.field(default=False, kw_only=True, validator=_check_think_tags)

    @property
    def _provider(self) -> Provider:
        return OPENAI

    def _codec(self, endpoint: Endpoint) -> Codec:
        form = RequestForm(
            system_role=self.system_role,
            stream_usage=self.stream_usage,
            empty_content=self.empty_content,
            call_ids=self.call_ids,
            schema_dialect=self.schema_dialect,
        )
        return ChatCodec(
            model=self.name,
            form=form,
            think_tags=self.think_tags,
            origin=endpoint.origin,
            output_mode=self.output_mode,
        )
