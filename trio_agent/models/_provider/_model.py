"""A model behind a provider's HTTP API: all but the provider's language."""

import time
from abc import abstractmethod
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
from ._codec import Codec, Decoder
from ._endpoint import Endpoint, KeySource, Provider, check_headers, check_key
from ._errors import error_from_response
from ._shape import MODES, OutputMode

_seconds: Final = gt(0.0)

_MAX_PAUSES: Final = 16
"""Times that one answer may pause; each is a request that is paid for."""


@attrs.frozen(eq=False)
class ProviderModel(Model):
    """What the models of all providers take.

    Failures aren't retried here. Deadlines are in seconds; they don't run while the model waits
    for `emit`.

    Args:
        name: the model's name at the provider.
        base_url: by default that of the environment, or else the provider's. It may end in the
            path of its conversations, and have a query, which is sent with each request.
        api_key: by default that of the environment. Other endpoints than the provider's may need
            none. A function, sync or async, is asked for it before each request; it must not
            block, and the deadline of the first token covers it.
        options: for every request, passed on as they are (`temperature`, ...). Those of a
            request win.
        headers: for every request. They win over those that are made of other arguments.
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

    name: str = attrs.field(validator=min_len(1))
    base_url: str | None = attrs.field(default=None, kw_only=True)
    api_key: KeySource | None = attrs.field(
        default=None, kw_only=True, repr=False, validator=check_key
    )
    options: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, validator=check_options)
    headers: Mapping[str, str] = attrs.field(
        factory=dict, kw_only=True, repr=False, validator=check_headers
    )
    output_mode: OutputMode | None = attrs.field(
        default=None, kw_only=True, validator=in_((None, *MODES))
    )
    client: Any = attrs.field(default=None, kw_only=True, repr=False)
    connect_deadline: float = attrs.field(
        default=DEFAULT_CONNECT_DEADLINE, kw_only=True, validator=_seconds
    )
    first_token_deadline: float = attrs.field(default=120.0, kw_only=True, validator=_seconds)
    between_tokens_deadline: float = attrs.field(default=60.0, kw_only=True, validator=_seconds)
    keep_alive_counts: bool = attrs.field(default=False, kw_only=True, validator=instance_of(bool))

    @property
    @abstractmethod
    def _provider(self) -> Provider:
        """Whose API it is."""

    @abstractmethod
    def _codec(self, endpoint: Endpoint) -> Codec:
        """Return the provider's language, as this endpoint of it is to be spoken to."""

    def _own_headers(self) -> Mapping[str, str]:
        """Return the headers that are made of other arguments. By default none."""
        return {}

    def open(self) -> AbstractAsyncContextManager[Model]:
        """Open connections that are kept from one call to the next.

        Raises:
            ValueError: when entered, if the API key is missing or unusable, or the URL is none.
            ModelError: `connect`, when entered: the environment names a proxy that can't be used.
        """
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Model]:
        headers = {**self._own_headers(), **self.headers}
        endpoint = Endpoint.find(self._provider, self.base_url, self.api_key, headers)
        async with AsyncExitStack() as stack:
            opening = open_transport(endpoint.base_url, client=self.client)
            try:
                transport = await stack.enter_async_context(opening)
            except TransportError as error:
                raise ModelError(error.code, error.message) from error
            yield OpenedModel(self, self._codec(endpoint), endpoint, transport)

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        """Answer one request over a connection of its own; see `Model.generate`.

        Raises:
            ModelError: `timeout-connect`, `timeout-first-token`, `timeout-between-tokens`,
                `connect`, `cut-stream`, `auth`, `not-found`, `rate-limit`, `context-length`,
                `bad-request`, `content-filter`, `provider-error` or `bad-response`. Once a part was
                emitted, none is retryable.
            ValueError: the model can't be opened.
        """
        async with self.open() as model:
            return await model.generate(request, emit)

    async def check(self) -> None:
        """See whether the endpoint answers, and does not refuse the API key, by its list of models.

        A checkpoint. Any other answer will do: not every provider lists its models, and a key
        may be good for conversations only (403).

        Raises:
            ModelError: `timeout-connect`, `connect`, `cut-stream`, `auth` or `provider-error`.
            ValueError: the model can't be opened.
        """
        async with self.open() as model:
            await model.check()


@attrs.frozen(eq=False)
class OpenedModel(Model):
    """What `ProviderModel.open` yields: the model with live connections."""

    _config: ProviderModel
    _codec: Codec
    _endpoint: Endpoint
    _transport: Transport

    @property
    def name(self) -> str:
        return self._config.name

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        options = {**self._config.options, **request.options}
        request = attrs.evolve(request, options=options)
        body = self._codec.encode(request)
        decoder: Decoder | None = None
        for _ in range(_MAX_PAUSES):
            content = _json(body)
            deadline = trio.current_time() + self._config.first_token_deadline
            key = await self._key(deadline, "first-token")
            if decoder is None:
                decoder = self._codec.decoder(self._endpoint.secret(key), request)
            await self._exchange(content, key, decoder, emit, deadline)
            finish = decoder.finish()
            if (rest := decoder.resume(body)) is None:
                return attrs.evolve(finish, model=self.name)
            body = rest
        raise ModelError("bad-response", f"the answer paused more than {_MAX_PAUSES} times")

    async def _exchange(
        self, content: bytes, key: str, decoder: Decoder, emit: Emit, deadline: float
    ) -> None:
        """Ask once, and let the answer be decoded to its end.

        Raises:
            ModelError: there is none, or it is cut.
        """
        config = self._config
        secret = self._endpoint.secret(key)
        scope = trio.CancelScope(deadline=deadline)
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
                    f"{self._endpoint.provider.path}{self._endpoint.query}",
                    answer,
                    headers=headers | self._endpoint.headers(key),
                    content=content,
                    connect_deadline=config.connect_deadline,
                )
            except TransportError as exc:
                error = exc
        if answer.kind == "refusal":
            refusal = _refusal(answer.status, answer.headers, bytes(answer.body), secret)
            refusal.retryable &= not decoder.started  # it may be the rest that is refused
            raise refusal
        await answer.end()
        if scope.cancelled_caught and not decoder.done:
            error = _deadline_passed("between-tokens" if decoder.started else "first-token")
        if error is not None and not decoder.complete:
            raise ModelError(error.code, error.message, retryable=not decoder.started) from error

    async def check(self) -> None:
        seconds = self._config.connect_deadline
        key = await self._key(trio.current_time() + seconds, "connect")
        try:
            async with self._transport.stream(
                "GET",
                f"{self._endpoint.provider.models_path}{self._endpoint.query}",
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

    async def _key(self, deadline: float, name: str) -> str:
        with trio.CancelScope(deadline=deadline):
            return await self._endpoint.key()
        error = _deadline_passed(name)
        raise ModelError(error.code, error.message, retryable=True)


def _json(body: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError) as exc:
        raise ModelError("bad-request", f"the request has no JSON form: {exc}") from exc


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
