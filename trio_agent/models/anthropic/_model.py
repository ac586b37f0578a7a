"""A model behind an endpoint that speaks Anthropic's Messages API."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from .._provider._codec import Codec
from .._provider._endpoint import Endpoint, Provider
from .._provider._model import ProviderModel
from ._messages import MessagesCodec

ANTHROPIC: Final = Provider(
    id="anthropic",
    title="Anthropic",
    base_url="https://api.anthropic.com",
    variables="ANTHROPIC",
    path="/v1/messages",
    suffixes=("/v1/messages", "/v1"),
    models_path="/v1/models",
    key_header="x-api-key",
    key_prefix="",
    headers={"anthropic-version": "2023-06-01"},
)


def _as_tuple(tools: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    return tuple(tools)


def _check_tools(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not all(isinstance(tool, Mapping) for tool in value):
        raise TypeError(f"{attribute.name} are objects, as Anthropic's API describes tools")


@attrs.frozen(eq=False)
class AnthropicModel(ProviderModel):
    """A model behind an endpoint that speaks Anthropic's Messages API.

    Failures aren't retried here. Deadlines are in seconds; they don't run while the model waits
    for `emit`. An answer that the provider pauses goes on with another request, as a part of the
    same answer; its usage is the sum.

    Where options ask for manual thinking (`{"type": "enabled", ...}`), it is turned off for a
    request that the API would refuse for it: if a tool is forced, and in a tool loop that was
    begun without thinking or by another model. That is logged once, at INFO.

    Args:
        name: the model's name at the provider.
        base_url: by default `ANTHROPIC_BASE_URL` of the environment, or else Anthropic. It may end
            in `/v1` or `/v1/messages`, and have a query, which is sent with each request.
        api_key: by default `ANTHROPIC_API_KEY` of the environment. Endpoints other than
            Anthropic's may need none. A function, sync or async, is asked for it before each
            request; it must not block, and the deadline of the first token covers it.
        options: for every request, passed on as they are (`thinking`, `cache_control`, ...).
            Those of a request win. Without `max_tokens`, which the API demands, 16384 are sent,
            and the budget of manual thinking on top.
        headers: for every request, such as `anthropic-beta`. They win over those that are made
            of other arguments.
        server_tools: tools that Anthropic runs, as its API describes them, such as
            `{"type": "web_search_20250305", "name": "web_search"}`.
        output_mode: how an answer that has a shape is asked for: ``"schema"``, as text that the
            provider holds to a JSON Schema, or ``"tool"``, as the input of a tool. By default
            what suits the endpoint, the model and the request.
        client: an `httpx.AsyncClient`, or one with the same API, to use instead of an own one.
            It is never closed here.
        connect_deadline: to connect, and again to agree on TLS.
        first_token_deadline: from the begin of a call to the first part of its answer, and again
            for each request that goes on with a paused one.
        between_tokens_deadline: from one part to the next, or to the end; at most a tenth more.
        keep_alive_counts: whether whatever comes, such as comments and pings, moves the deadlines
            as a part does. A provider that sends these can then be silent forever.

    Raises:
        ValueError, TypeError: an argument is none of these.
    """

    server_tools: tuple[Mapping[str, Any], ...] = attrs.field(
        default=(), kw_only=True, converter=_as_tuple, validator=_check_tools
    )
    _told: set[str] = attrs.field(init=False, factory=set, repr=False)

    @property
    def _provider(self) -> Provider:
        return ANTHROPIC

    def _codec(self, endpoint: Endpoint) -> Codec:
        return MessagesCodec(
            model=self.name,
            origin=endpoint.origin,
            server_tools=self.server_tools,
            told=self._told,
            output_mode=self.output_mode,
        )
