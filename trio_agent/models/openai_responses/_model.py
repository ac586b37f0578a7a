"""A model behind an endpoint that speaks OpenAI's Responses."""

from typing import Any, Final

import attrs
from attrs.validators import in_

from .._parts import ModelRequest
from .._provider._codec import Codec
from .._provider._endpoint import Endpoint, Provider
from .._provider._openai_account import OpenAIAccountModel
from .._provider._output_mode import can_force, output_mode, shows_schema
from .._provider._shape import OutputMode, as_shape, by_tool, check_output, with_schema
from .._provider._strict_schema import OPENAI
from ._decoder import ResponsesDecoder
from ._request import SystemRole, encode_request

OPENAI_RESPONSES: Final = Provider(
    id="openai-responses",
    title="OpenAI",
    base_url="https://api.openai.com/v1",
    variables="OPENAI",
    path="/responses",
    suffixes=("/responses",),
)


@attrs.frozen(eq=False)
class OpenAIResponsesModel(OpenAIAccountModel):
    """A model behind an endpoint that speaks OpenAI's Responses.

    The provider stores nothing (`store` is false) unless the options say otherwise; what it wants
    back of its answers, such as encrypted reasoning, is kept in their messages. Models that refuse
    `include` want ``options={"include": []}``.

    Failures aren't retried here. Deadlines are in seconds; they don't run while the model waits
    for `emit`.

    Args:
        name: the model's name at the provider.
        base_url: by default `OPENAI_BASE_URL` of the environment, or else OpenAI. It may end in
            `/responses`, and have a query, which is sent with each request.
        api_key: by default `OPENAI_API_KEY` of the environment. Endpoints other than OpenAI's
            may need none. A function, sync or async, is asked for it before each request; it
            must not block, and the deadline of the first token covers it.
        options: for every request, passed on as they are (`reasoning`, `max_output_tokens`,
            ...). Those of a request win.
        headers: for every request. They win over those that are made of other arguments.
        organization: sent as `OpenAI-Organization`.
        project: sent as `OpenAI-Project`.
        system_role: the role of system messages, which is `"system"` for some servers. An agent's
            instructions have a field of their own.
        output_mode: how an answer that has a shape is asked for: ``"schema"``, as text that the
            provider holds to a JSON Schema, or ``"tool"``, as the input of a tool. By default
            what suits the endpoint, the model and the request.
        client: an `httpx.AsyncClient`, or one with the same API, to use instead of an own one.
            It is never closed here.
        connect_deadline: to connect, and again to agree on TLS.
        first_token_deadline: from the begin of a call to the first part of its answer. Thinking
            without a summary is silent.
        between_tokens_deadline: from one part to the next, or to the end; at most a tenth more.
        keep_alive_counts: whether whatever comes, such as comments and empty deltas, moves the
            deadlines as a part does. A provider that sends these can then be silent forever.

    Raises:
        ValueError, TypeError: an argument is none of these.
    """

    system_role: SystemRole = attrs.field(
        default="developer", kw_only=True, validator=in_(("developer", "system", "user"))
    )

    @property
    def _provider(self) -> Provider:
        return OPENAI_RESPONSES

    def _codec(self, endpoint: Endpoint) -> Codec:
        return ResponsesCodec(
            model=self.name,
            origin=endpoint.origin,
            system_role=self.system_role,
            output_mode=self.output_mode,
        )


@attrs.frozen(kw_only=True)
class ResponsesCodec:
    """The language of one endpoint.

    Args:
        model: the model's name.
        origin: names the endpoint where what several want back is kept.
        system_role: the role of system messages.
        output_mode: how an answer that has a shape is asked for; None for what suits.
    """

    model: str
    origin: str
    system_role: SystemRole = "developer"
    output_mode: OutputMode | None = None

    def encode(self, request: ModelRequest) -> dict[str, Any]:
        """Return the JSON body of one streamed call; see `encode_request`."""
        if (spec := request.output) is not None:
            check_output(spec, request, option="text.format")
            if self._mode(request) == "tool":
                request = by_tool(
                    request,
                    spec,
                    can_force=can_force(self.origin, request.options),
                    held_to=OPENAI,
                )
            elif not shows_schema(self.origin):
                request = with_schema(request, spec)
        return encode_request(request, self.model, origin=self.origin, system_role=self.system_role)

    def decoder(self, secret: str, request: ModelRequest) -> ResponsesDecoder:
        """Make what decodes the answer to a request."""
        shape = as_shape(request, self._mode(request))
        return ResponsesDecoder(secret=secret, origin=self.origin, shape=shape)

    def _mode(self, request: ModelRequest) -> OutputMode:
        return self.output_mode or output_mode(
            self.origin, self.model, has_tools=bool(request.tools)
        )
