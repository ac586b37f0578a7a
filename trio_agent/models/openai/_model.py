"""A model behind an OpenAI-compatible endpoint."""

import math
import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import attrs
import msgspec
import trio

from ..._errors import ModelError
from ..._http import DEFAULT_CONNECT_DEADLINE, Transport, TransportError, open_transport
from ..._http.before_waiting import BeforeWaiting
from .._model import Emit, Model
from .._parts import ModelFinish, ModelRequest
from ._chat import ChatDecoder
from ._errors import error_from_response
from ._request import encode_request

DEFAULT_BASE_URL = "https://api.openai.com/v1"

_NO_STREAM = ("application/json", "text/html")
_MAX_REST = 1 << 16
_ERROR_SECONDS = 5.0
_REUSE_SECONDS = 1.0

_seconds = attrs.validators.gt(0.0)


@attrs.frozen(eq=False)
class OpenAIModel(Model):
    """A model behind an endpoint that speaks OpenAI's Chat Completions.

    Failures aren't retried here. Deadlines are in seconds; they don't run while the model waits
    for `emit`.

    Args:
        name: the model's name at the provider.
        base_url: by default `OPENAI_BASE_URL` of the environment, or else OpenAI.
        api_key: by default `OPENAI_API_KEY` of the environment. Endpoints other than OpenAI's
            may need none.
        options: for every request, passed on as they are (`temperature`, ...). Those of a
            request win.
        client: an `httpx.AsyncClient`, or one with the same API, to use instead of an own one.
            It is never closed here.
        connect_deadline: to connect, and again to agree on TLS.
        first_token_deadline: from the begin of a call to the first part of its answer.
        between_tokens_deadline: from one part to the next, or to the end; at most a tenth more.
    """

    name: str = attrs.field(validator=attrs.validators.min_len(1))
    base_url: str | None = attrs.field(default=None, kw_only=True)
    api_key: str | None = attrs.field(default=None, kw_only=True, repr=False)
    options: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)
    client: Any = attrs.field(default=None, kw_only=True, repr=False)
    connect_deadline: float = attrs.field(
        default=DEFAULT_CONNECT_DEADLINE, kw_only=True, validator=_seconds
    )
    first_token_deadline: float = attrs.field(default=120.0, kw_only=True, validator=_seconds)
    between_tokens_deadline: float = attrs.field(default=60.0, kw_only=True, validator=_seconds)

    def open(self) -> AbstractAsyncContextManager[Model]:
        """Open connections that are kept from one call to the next.

        Raises:
            ValueError: when entered, if the API key is missing or unusable, or the URL is none.
        """
        return _open(self)

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        """Answer one request over a connection of its own; see `Model.generate`.

        Raises:
            ModelError: `timeout-connect`, `timeout-first-token`, `timeout-between-tokens`,
                `connect`, `cut-stream`, `auth`, `not-found`, `rate-limit`, `context-length`,
                `bad-request`, `provider-error` or `bad-response`. Once a part was emitted,
                none is retryable.
            ValueError: an option is reserved, or the model can't be opened.
        """
        async with self.open() as model:
            return await model.generate(request, emit)

    async def check(self) -> None:
        """See whether the endpoint answers `GET /models`, and does not refuse the API key.

        A checkpoint. Any other answer will do: not every provider lists its models.

        Raises:
            ModelError: `timeout-connect`, `connect`, `cut-stream`, `auth` or `provider-error`.
            ValueError: the model can't be opened.
        """
        async with self.open() as model:
            await model.check()


@asynccontextmanager
async def _open(config: OpenAIModel) -> AsyncGenerator[Model]:
    base_url = config.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    url = urlsplit(base_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("base_url (or OPENAI_BASE_URL) must look like https://host/v1")
    key = (config.api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
    if not key and base_url.rstrip("/") == DEFAULT_BASE_URL:
        raise ValueError(
            "no API key: set OPENAI_API_KEY, or pass api_key=; for another endpoint than"
            " OpenAI's set OPENAI_BASE_URL, or pass base_url="
        )
    if not key.isascii() or not key.isprintable():
        raise ValueError("api_key (or OPENAI_API_KEY) has characters that no HTTP header can carry")
    async with open_transport(base_url, client=config.client) as transport:
        yield _OpenedModel(config, transport, key)


@attrs.frozen(eq=False)
class _OpenedModel(Model):
    """What `OpenAIModel.open` yields: the model with live connections."""

    _config: OpenAIModel
    _transport: Transport
    _key: str = attrs.field(repr=False)

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        options = {**self._config.options, **request.options}
        body = encode_request(attrs.evolve(request, options=options), self._config.name)
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        answer = _Answer(self._config, ChatDecoder(secret=self._key), emit)
        error: TransportError | None = None
        with answer.scope:
            try:
                await self._transport.exchange(
                    "POST",
                    "/chat/completions",
                    answer,
                    headers=headers | self._authorization(),
                    content=msgspec.json.encode(body),
                    connect_deadline=self._config.connect_deadline,
                )
            except TransportError as exc:
                error = exc
        if answer.refused is not None:
            status, refusal = answer.refused
            raise error_from_response(
                status, answer.body, refusal, now=time.time(), secret=self._key
            )
        if answer.scope.cancelled_caught and not answer.decoder.done:
            error = _deadline_passed("between-tokens" if answer.decoder.started else "first-token")
        if error is not None and not answer.decoder.complete:
            retryable = not answer.decoder.started
            raise ModelError(error.code, error.message, retryable=retryable) from error
        return answer.decoder.finish()

    async def check(self) -> None:
        seconds = self._config.connect_deadline
        try:
            async with self._transport.stream(
                "GET", "/models", headers=self._authorization(), connect_deadline=seconds
            ) as response:
                with trio.move_on_after(seconds) as waiting:
                    status, headers = await response.head()
                if waiting.cancelled_caught:
                    raise _deadline_passed("connect")
                body = await response.receive_rest(seconds=_ERROR_SECONDS, max_bytes=_MAX_REST)
        except TransportError as error:
            raise ModelError(error.code, error.message, retryable=True) from error
        if status in (401, 403) or status >= 500:
            raise error_from_response(status, body, headers, now=time.time(), secret=self._key)

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}


class _Answer:
    """One answer as it comes, and its deadlines."""

    def __init__(self, config: OpenAIModel, decoder: ChatDecoder, emit: Emit) -> None:
        self.decoder = decoder
        self.scope = trio.CancelScope(deadline=trio.current_time() + config.first_token_deadline)
        """Cancelled by its deadline, which moves on with every token."""
        self.refused: tuple[int, Mapping[str, str]] | None = None
        """Status and headers, if this is no stream."""
        self.body = b""
        self._between_tokens = config.between_tokens_deadline
        self._emit = emit

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head; what is no stream is an error."""
        if status != 200 or headers.get("content-type", "").startswith(_NO_STREAM):
            self.refused = status, headers
            self._end_within(_ERROR_SECONDS)

    def feed(self, data: bytes) -> bool:
        """Take what came in one read; False if `room` is needed before more."""
        if self.refused is not None:
            self.body += data
            if len(self.body) > _MAX_REST:
                self.scope.cancel(reason="the provider says too much about an error")
            return True
        if self.decoder.done:
            return True
        has_room = True
        if parts := self.decoder.feed(data):
            has_room = self._emit.nowait(*parts)
            self._expect_token()
        if self.decoder.done:
            # A connection is used again only if its response was read to the end.
            self._end_within(_REUSE_SECONDS if self.decoder.complete else 0)
        return has_room

    async def room(self) -> None:
        """Wait while the run waits for its store; the deadlines don't run meanwhile."""
        deadline, began = self.scope.deadline, trio.current_time()
        await BeforeWaiting(self._emit.room(), self._pause)
        if self.scope.deadline == math.inf:
            self.scope.deadline = deadline + trio.current_time() - began

    def _pause(self) -> None:
        self.scope.deadline = math.inf

    def _expect_token(self) -> None:
        # Moving a deadline costs as much as a token, so it is moved by tenths of itself.
        due = trio.current_time() + self._between_tokens
        if not 0 <= self.scope.deadline - due <= self._between_tokens / 10:
            self.scope.deadline = due + self._between_tokens / 10

    def _end_within(self, seconds: float) -> None:
        self.scope.deadline = trio.current_time() + seconds


def _deadline_passed(name: str) -> TransportError:
    return TransportError(f"timeout-{name}", f"the model's {name} deadline passed")
