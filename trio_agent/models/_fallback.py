"""Several models, of which one answers: the next if those before it fail.

The rules. Nobody is taken at half a word: once a part of an answer was said, its model's failure is
the run's. Each call begins with the first model again; nothing is remembered of the last. What
can't be opened is one that fails. And models live apart: one that breaks down takes no other along.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import zip_longest

import attrs
import trio
from attrs.validators import is_callable, min_len, optional

from .._errors import ModelError
from .._nursery import open_plain_nursery
from ._model import Emit, Model, ask, unavailable
from ._names import to_model
from ._parts import ModelFinish, ModelRequest, SwitchPart
from ._watched_emit import WatchedEmit

logger = logging.getLogger("trio_agent")


@attrs.frozen(init=False)
class FallbackModel(Model):
    """Asks the first model, and the next one if that fails before it has said anything.

    Each switch is an event `model-switch`; the `model-finish` of the step names the model that
    answered. Each call begins with the first model. An answer is no failure, whatever it says.
    Deadlines are those of each model: what a silent one waits for comes before the switch.

    If all fail, the failure is the last one's. It is retryable if that of any of them was, after
    the shortest wait that one of these asked for: then the first is asked again.

    Args:
        models: the models, or their names, the preferred one first.
        switch_on: whether the next model is asked after this failure; by default after any. Some
            seem to be the request's fault (`bad-request`, `context-length`), but another model
            may take what one refuses, and has a larger context. One that none takes is refused
            by each.

    Raises:
        TypeError, ValueError: an argument is none of these.
    """

    models: tuple[Model, ...] = attrs.field(validator=min_len(1))
    switch_on: Callable[[ModelError], bool] | None = attrs.field(
        default=None, validator=optional(is_callable())
    )

    def __init__(
        self, *models: Model | str, switch_on: Callable[[ModelError], bool] | None = None
    ) -> None:
        self.__attrs_init__(tuple(map(to_model, models)), switch_on)

    @property
    def name(self) -> str:
        """The names of all."""
        return " | ".join(model.name for model in self.models)

    def open(self) -> AbstractAsyncContextManager[Model]:
        """Open all models side by side; wait until each is open, or can't be.

        Raises:
            ModelError: `model-unavailable`, when entered: none can be opened.
        """
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Model]:
        members = [_Member(model) for model in self.models]
        closing = trio.Event()
        async with open_plain_nursery() as nursery:
            for member in members:
                nursery.start_soon(member.keep_open, closing)
            for member in members:
                await member.tried.wait()
            problems = [
                f"{member.name}: {problem.message}"
                for member in members
                if (problem := member.problem) is not None
            ]
            if len(problems) == len(members):
                raise ModelError(
                    "model-unavailable", f"no model can be opened: {'; '.join(problems)}"
                )
            try:
                yield OpenedFallback(self, members)
            finally:
                closing.set()

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        """Answer one request by models that are opened for it; see `Model.generate`.

        Raises:
            ModelError: all failed, or one that had begun to speak.
        """
        async with self.open() as model:
            return await model.generate(request, emit)

    async def check(self) -> None:
        """See whether any of them can be reached, one after the other. A checkpoint.

        Raises:
            ModelError: none can be. The sentence names each.
        """
        await OpenedFallback(self, [_Member(model, model) for model in self.models]).check()


@attrs.define(eq=False)
class _Member:
    """One of the models, and how it is."""

    config: Model
    model: Model | None = None
    """The open one."""
    failure: Exception | None = None
    tried: trio.Event = attrs.field(factory=trio.Event)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def problem(self) -> ModelError | None:
        """Why it can't be asked.

        Raises:
            Exception: a bug of the model kept it from being opened.
        """
        return None if self.failure is None else unavailable(self.failure)

    async def keep_open(self, closing: trio.Event) -> None:
        """Open it, and close it when it is time."""
        try:
            async with self.config.open() as self.model:
                self.tried.set()
                await closing.wait()
        except Exception as exc:
            self.failure = exc
            if self.model is not None:
                logger.exception("model %r broke down", self.config)
                self.failure = ModelError("model-unavailable", "it broke down")
        finally:
            self.model = None
            self.tried.set()

    async def ask(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        """Ask it; its answer has a name."""
        finish = await ask(self._opened(), request, emit)
        return finish if finish.model else attrs.evolve(finish, model=self.name)

    async def check(self) -> None:
        """See whether it can be reached."""
        try:
            await self._opened().check()
        except ModelError:
            raise
        except Exception as exc:
            raise unavailable(exc) from exc

    def _opened(self) -> Model:
        if self.model is None:
            raise self.problem or ModelError("model-unavailable", "it is closed")
        return self.model


@attrs.frozen(eq=False)
class OpenedFallback(Model):
    """What `FallbackModel.open` yields: those that could be opened, and why the others couldn't."""

    _config: FallbackModel
    _members: Sequence[_Member]

    @property
    def name(self) -> str:
        return self._config.name

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        watched = WatchedEmit(emit)
        switch_on = self._config.switch_on
        waits: list[float] = []
        for member, following in zip_longest(self._members, self._members[1:]):
            try:
                return await member.ask(request, watched)
            except ModelError as error:
                if watched.spoken:
                    raise
                if error.retryable:
                    waits.append(error.retry_after or 0)
                if following is None or (switch_on is not None and not switch_on(error)):
                    if not waits:
                        raise
                    raise _retryable(error, min(waits)) from error
                part = SwitchPart(member.name, following.name, error.code, error.message)
            await emit(part)
        raise AssertionError("unreachable")

    async def check(self) -> None:
        problems: list[str] = []
        retryable = False
        for member in self._members:
            try:
                return await member.check()
            except ModelError as error:
                problems.append(f"{member.name}: {error.message}")
                retryable |= error.retryable
        message = f"no model can be reached: {'; '.join(problems)}"
        raise ModelError("model-unavailable", message, retryable=retryable)


def _retryable(error: ModelError, wait: float) -> ModelError:
    return ModelError(error.code, error.message, retryable=True, retry_after=wait or None)
