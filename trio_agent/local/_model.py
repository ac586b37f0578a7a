"""A language model that needs no provider: llama.cpp in a subprocess of this program."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import trio

from .._errors import ModelError
from .._messages import ToolMessage
from ..models._model import Emit, Model
from ..models._parts import ModelFinish, ModelRequest, check_options
from ..models._watched_emit import WatchedEmit
from ..models.openai._model import OpenAIModel
from ._errors import LocalModelUnavailable
from ._process import LocalServer, ServerConfig, check_gguf, open_local_server
from ._progress import ProgressCallback, no_progress
from ._weights import QWEN, fetch_weights

# The most probable token each time calls the right tool most often; DRY ends the loops that a
# small model falls into without it; the bound ends those that remain, in half a minute.
_OPTIONS: Mapping[str, Any] = {
    "temperature": 0,
    "dry_multiplier": 0.8,
    "dry_allowed_length": 4,
    "max_tokens": 512,
}

# What llama.cpp says when the model called a tool that does not exist.
_INVENTED = "peg-native format"


@attrs.frozen(eq=False)
class LocalModel(Model):
    """A model that runs on this machine, without a key or a provider. Needs the extra `local`.

    Without a path it is the embedded one, Qwen2.5-Coder-0.5B-Instruct (Apache-2.0). Its
    weights, 469 MiB, are downloaded at the first use. It is for demonstrations: it calls the
    right tool most of the time, for one round per question, and what it says is often wrong.

    Args:
        path: of a GGUF file of yours, which is asked with the chat template that it contains.
        chat_only: whether tools are kept from it.
        context_size: tokens per conversation.
        parallel: conversations at one time; more of them wait.
        options: for every request, added to the defaults that suit the embedded model
            (temperature 0, at most 512 tokens per answer). Those of a request win.
        progress: is told how far the download is.
    """

    path: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    chat_only: bool = attrs.field(default=False, kw_only=True)
    context_size: int = attrs.field(default=4096, kw_only=True)
    parallel: int = attrs.field(default=2, kw_only=True)
    options: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, validator=check_options)
    progress: ProgressCallback = attrs.field(default=no_progress, kw_only=True)

    def open(self) -> AbstractAsyncContextManager[Model]:
        """Start the subprocess, which ends with the context; download the weights before if needed.

        Raises:
            LocalModelUnavailable: when entered, if either is impossible.
        """
        return _open(self)

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        """Answer one request by a subprocess of its own; see `Model.generate`."""
        async with self.open() as model:
            return await model.generate(request, emit)

    async def check(self) -> None:
        """See whether `path` can be read and is a GGUF file, without starting anything.

        A checkpoint.

        Raises:
            ModelError: `local-model`.
        """
        await trio.lowlevel.checkpoint()
        try:
            if self.path is not None:
                check_gguf(self.path)
        except LocalModelUnavailable as exc:
            raise ModelError("local-model", str(exc)) from exc


@asynccontextmanager
async def _open(model: LocalModel) -> AsyncGenerator[Model]:
    embedded = model.path is None
    path = model.path or await fetch_weights(progress=model.progress)
    config = ServerConfig(
        path,
        QWEN.name if embedded else path.stem,
        chat_template=chat_template() if embedded else "",
        context_size=model.context_size,
        parallel=model.parallel,
    )
    async with open_local_server(config) as server:
        yield OpenedLocalModel(
            server,
            options={**_OPTIONS, **model.options} if embedded else model.options,
            chat_only=model.chat_only,
            one_round=embedded,
        )


def chat_template() -> str:
    """Return the template that makes the embedded model call tools."""
    return files(__package__).joinpath("chat.jinja").read_text(encoding="utf-8")


@attrs.frozen(eq=False)
class OpenedLocalModel(Model):
    """What `LocalModel.open` yields: the model with a live subprocess.

    `one_round`: whether the tools are taken away while the model answers with a result. The
    embedded one would call them again and again.
    """

    _server: LocalServer
    _options: Mapping[str, Any] = attrs.field(kw_only=True)
    _chat_only: bool = attrs.field(default=False, kw_only=True)
    _one_round: bool = attrs.field(default=False, kw_only=True)

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        answers = self._one_round and isinstance(request.messages[-1], ToolMessage)
        if self._chat_only or answers:
            request = attrs.evolve(request, tools=())
        watched = WatchedEmit(emit)
        try:
            return await self._ask(request, watched)
        except ModelError as error:
            if watched.spoken or not request.tools or _INVENTED not in error.message:
                raise
        return await self._ask(attrs.evolve(request, tools=()), emit)

    async def _ask(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        try:
            async with self._server.request() as endpoint:
                # Loopback is so near that a connection per request costs nothing, and the
                # address is always the present one.
                model = OpenAIModel(
                    self._server.model_name,
                    base_url=endpoint.base_url,
                    api_key=endpoint.api_key,
                    options=self._options,
                )
                return await model.generate(request, emit)
        except LocalModelUnavailable as exc:
            raise ModelError("local-model", str(exc)) from exc
