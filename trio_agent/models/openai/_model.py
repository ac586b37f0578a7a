"""A model behind an OpenAI-compatible endpoint."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

import attrs
import msgspec
import trio
from attrs.validators import gt, in_, instance_of, min_len

from ..._errors import ModelError
from ..._http import DEFAULT_CONNECT_DEADLINE, Transport, TransportError, open_transport
from ..._http.words import clean
from .._model import Emit, Model
from .._parts import ModelFinish, ModelRequest, check_options
from ._answer import ERROR_SECONDS, MAX_ERROR, Answer
from ._chat import ChatDecoder
from ._endpoint import (
    Endpoint,
    KeySource,
    check_header,
    check_headers,
    check_key,
)
from ._errors import error_from_response
from ._request import (
    CALL_IDS,
    SCHEMA_DIALECTS,
    CallIds,
    EmptyContent,
    RequestForm,
    SchemaDialect,
    SystemRole,
    encode_request,
)

_seconds: Final = gt(0.0)
_flag: Final = instance_of(bool)


def _named(functions: Mapping[str, Any]) -> Any:
    """Make a validator for what is a function, or the name of one of these."""

    def check(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if not (value is None or callable(value) or value in functions):
            names = ", ".join(map(repr, functions))
            raise ValueError(f"{attribute.name} is a function or one of {names}, not {value!r}")

    return check


@attrs.frozen(eq=False)
class OpenAIModel(Model):
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
        think_tags: whether text within `<think>` and `</think>` is reasoning.
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

    name: str = attrs.field(validator=min_len(1))
    base_url: str | None = attrs.field(default=None, kw_only=True)
    api_key: KeySource | None = attrs.field(
        default=None,
        kw_only=True,
        repr=False,
        validator=check_key,
    )
    options: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, validator=check_options)
    headers: Mapping[str, str] = attrs.field(
        factory=dict, kw_only=True, repr=False, validator=check_headers
    )
    organization: str | None = attrs.field(default=None, kw_only=True, validator=check_header)
    project: str | None = attrs.field(default=None, kw_only=True, validator=check_header)
    system_role: SystemRole = attrs.field(
        default="system", kw_only=True, validator=in_(("system", "developer", "user"))
    )
    stream_usage: bool = attrs.field(default=True, kw_only=True, validator=_flag)
    empty_content: EmptyContent = attrs.field(
        default="null", kw_only=True, validator=in_(("null", "empty", "absent"))
    )
    call_ids: CallIds | None = attrs.field(default=None, kw_only=True, validator=_named(CALL_IDS))
    schema_dialect: SchemaDialect | None = attrs.field(
        default=None,
        kw_only=True,
        validator=_named(SCHEMA_DIALECTS),
    )
    think_tags: bool = attrs.field(default=False, kw_only=True, validator=_flag)
    client: Any = attrs.field(default=None, kw_only=True, repr=False)
    connect_deadline: float = attrs.field(
        default=DEFAULT_CONNECT_DEADLINE, kw_only=True, validator=_seconds
    )
    first_token_deadline: float = attrs.field(default=120.0, kw_only=True, validator=_seconds)
    between_tokens_deadline: float = attrs.field(default=60.0, kw_only=True, validator=_seconds)
    keep_alive_counts: bool = attrs.field(default=False, kw_only=True, validator=_flag)

    def open(self) -> AbstractAsyncContextManager[Model]:
        """Open connections that are kept from one call to the next.

        Raises:
            ValueError: when entered, if the API key is missing or unusable, or the URL is none.
            ModelError: `connect`, when entered: the environment names a proxy that can't be used.
        """
        return _open(self)

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        """Answer one request over a connection of its own; see `Model.generate`.

        Raises:
            ModelError: `timeout-connect`, `timeout-first-token`, `timeout-between-tokens`,
                `connect`, `cut-stream`, `auth`, `not-found`, `rate-limit`, `context-length`,
                `bad-request`, `provider-error` or `bad-response`. Once a part was emitted,
                none is retryable.
            ValueError: the model can't be opened.
        """
        async with self.open() as model:
            return await model.generate(request, emit)

    async def check(self) -> None:
        """See whether the endpoint answers `GET /models`, and does not refuse the API key.

        A checkpoint. Any other answer will do: not every provider lists its models, and a key
        may be good for conversations only (403).

        Raises:
            ModelError: `timeout-connect`, `connect`, `cut-stream`, `auth` or `provider-error`.
            ValueError: the model can't be opened.
        """
        async with self.open() as model:
            await model.check()


@asynccontextmanager
async def _open(config: OpenAIModel) -> AsyncGenerator[Model]:
    named = {"OpenAI-Organization": config.organization, "OpenAI-Project": config.project}
    headers = {name: value for name, value in named.items() if value is not None}
    endpoint = Endpoint.find(config.base_url, config.api_key, {**headers, **config.headers})
    form = RequestForm(
        system_role=config.system_role,
        stream_usage=config.stream_usage,
        empty_content=config.empty_content,
        call_ids=config.call_ids,
        schema_dialect=config.schema_dialect,
    )
    async with AsyncExitStack() as stack:
        opening = open_transport(endpoint.base_url, client=config.client)
        try:
            transport = await stack.enter_async_context(opening)
        except TransportError as error:
            raise ModelError(error.code, error.message) from error
        yield _OpenedModel(config, form, endpoint, transport)


@attrs.frozen(eq=False)
class _OpenedModel(Model):
    """What `OpenAIModel.open` yields: the model with live connections."""

    _config: OpenAIModel
    _form: RequestForm
    _endpoint: Endpoint
    _transport: Transport

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        config = self._config
        options = {**config.options, **request.options}
        content = self._encode(attrs.evolve(request, options=options))
        scope = trio.CancelScope(deadline=trio.current_time() + config.first_token_deadline)
        key = await self._key(scope.deadline, "first-token")
        secret = self._endpoint.secret(key)
        decoder = ChatDecoder(secret=secret, think_tags=config.think_tags)
        answer = Answer(
            decoder,
            emit,
            scope,
            first_token=config.first_token_deadline,
            between_tokens=config.between_tokens_deadline,
            keep_alive_counts=config.keep_alive_counts,
        )
        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        error: TransportError | None = None
        with scope:
            try:
                await self._transport.exchange(
                    "POST",
                    f"/chat/completions{self._endpoint.query}",
                    answer,
                    headers=headers | self._endpoint.headers(key),
                    content=content,
                    connect_deadline=config.connect_deadline,
                )
            except TransportError as exc:
                error = exc
        if answer.kind == "refusal":
            raise _refusal(answer.status, answer.headers, bytes(answer.body), secret)
        await answer.end()
        if scope.cancelled_caught and not decoder.done:
            error = _deadline_passed("between-tokens" if decoder.started else "first-token")
        if error is not None and not decoder.complete:
            raise ModelError(error.code, error.message, retryable=not decoder.started) from error
        return decoder.finish()

    async def check(self) -> None:
        seconds = self._config.connect_deadline
        key = await self._key(trio.current_time() + seconds, "connect")
        try:
            async with self._transport.stream(
                "GET",
                f"/models{self._endpoint.query}",
                headers=self._endpoint.headers(key),
                connect_deadline=seconds,
            ) as response:
                with trio.move_on_after(seconds) as waiting:
                    status, headers = await response.head()
                if waiting.cancelled_caught:
                    raise _deadline_passed("connect")
                body = await response.receive_rest(seconds=ERROR_SECONDS, max_bytes=MAX_ERROR)
        except TransportError as error:
            raise ModelError(error.code, error.message, retryable=True) from error
        # Forbidden is this list (RFC 9110, section 15.5.4), which says nothing of the rest.
        if status == 401 or status >= 500:
            raise _refusal(status, headers, body, self._endpoint.secret(key))

    def _encode(self, request: ModelRequest) -> bytes:
        try:
            return msgspec.json.encode(encode_request(request, self._config.name, self._form))
        except (TypeError, ValueError) as exc:
            raise ModelError("bad-request", f"the request has no JSON form: {exc}") from exc

    async def _key(self, deadline: float, name: str) -> str:
        with trio.CancelScope(deadline=deadline):
            return await self._endpoint.key()
        error = _deadline_passed(name)
        raise ModelError(error.code, error.message, retryable=True)


def _refusal(status: int, headers: Mapping[str, str], body: bytes, secret: str) -> ModelError:
    if 300 <= status < 400 and (location := headers.get("location")):
        place = clean(location.partition("?")[0], limit=200, secret=secret)
        return ModelError(
            "bad-response",
            f"the endpoint has moved to {place} (HTTP {status}): set base_url. Only redirects"
            " within a host that keep the request (307, 308) are followed, and five at most",
        )
    return error_from_response(status, body, headers, now=time.time(), secret=secret)


def _deadline_passed(name: str) -> TransportError:
    return TransportError(f"timeout-{name}", f"the model's {name} deadline passed")
