"""What a model is to a run."""

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager, nullcontext

import trio

from .._errors import ModelError, TrioAgentError
from .._nursery import leaves
from ._parts import EmittedPart, ModelFinish, ModelRequest


class Emit(ABC):
    """Takes the parts of an answer, in order.

    To see or change what a model says, pass it an `Emit` of your own around the one that you got:
    all parts come through `nowait`.
    """

    @abstractmethod
    def nowait(self, *parts: EmittedPart) -> bool:
        """Publish these parts; False if `room` has to be awaited before the next ones.

        Pass everything that came in one read in one call: it becomes one wake-up of every
        subscriber.
        """

    @abstractmethod
    async def room(self) -> None:
        """Wait while the run's store is far behind. Not always a checkpoint."""

    async def __call__(self, *parts: EmittedPart) -> None:
        """Publish these parts, and wait while the run's store is far behind.

        Not always a checkpoint: let others run between your calls. If cancelled, all parts of
        this call have been published all the same.
        """
        if not self.nowait(*parts):
            await self.room()


class Model(ABC):
    """A language model: implement `generate`, and `open` if it needs connections or processes."""

    @property
    def name(self) -> str:
        """What it is called in events. By default the name of its class."""
        return type(self).__name__

    @abstractmethod
    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        """Answer one request: emit the parts as they come, return when the answer is complete.

        Cancelling it must end the work at the provider, too (for HTTP: close the connection).

        Raises:
            ModelError: whatever goes wrong outside of this program, including an answer that
                breaks off without a finish reason.
        """

    def open(self) -> AbstractAsyncContextManager["Model"]:
        """Open what `generate` needs for as long as the context lasts.

        A runtime opens each model once, at its first run, and closes it at its end, or when
        nobody has used it for 60 seconds; the next run opens it again. The value of the context
        is the model to ask. By default that is the model itself.
        """
        return nullcontext(self)

    async def check(self) -> None:
        """See whether the model can be reached, without asking it anything. A checkpoint.

        By default it can.

        Raises:
            ModelError: it can't be reached.
        """
        await trio.lowlevel.checkpoint()


async def ask(model: Model, request: ModelRequest, emit: Emit) -> ModelFinish:
    """Let an open model answer; a group that holds only its failures is the first of these.

    Models, too, have nurseries, and what these cancel may fail as well.

    Raises:
        ModelError: the model failed.
    """
    try:
        return await model.generate(request, emit)
    except BaseExceptionGroup as group:
        first, *others = leaves(group)
        if all(isinstance(each, ModelError) for each in (first, *others)):
            raise first from None
        raise


def unavailable(failure: BaseException) -> ModelError:
    """Say what an exception of `Model.open` means: the model can't be opened.

    Raises:
        BaseException: it means a bug, and is raised as it is.
    """
    match failure:
        case ModelError(code="model-unavailable", message=message):
            pass
        case TrioAgentError() | ValueError() | OSError():
            message = str(failure)
        case _:
            raise failure
    return ModelError("model-unavailable", message)
