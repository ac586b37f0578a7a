"""What a model has by default: nothing to open, and always there."""

import pytest
import trio.testing
from model_kit import Emitted

from trio_agent._errors import ModelError, StoreUnavailable
from trio_agent._messages import UserMessage
from trio_agent.models._model import Emit, Model, ask, unavailable
from trio_agent.models._parts import ModelFinish, ModelRequest, TextPart


class Minimal(Model):
    """Implements what must be implemented."""

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        await emit(TextPart("Hi"))
        return ModelFinish("stop")


def test_a_model_must_answer() -> None:
    assert Model.__abstractmethods__ == {"generate"}
    with pytest.raises(TypeError, match=r"abstract method '?generate"):
        Model()  # type: ignore[abstract]


async def test_the_open_model_is_the_model_itself() -> None:
    model = Minimal()
    for _ in range(2):
        async with model.open() as opened:
            assert opened is model
            emitted = Emitted()
            await opened.generate(ModelRequest((UserMessage("Hi"),)), emitted)
            assert emitted == [TextPart("Hi")]


async def test_a_model_can_be_reached() -> None:
    with trio.testing.assert_checkpoints():
        await Minimal().check()


class Failing(Minimal):
    """Raises what it is given."""

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        raise self.failure


BUSY = ModelError("busy", "come back")
BUG = KeyError("bug")


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (BUSY, BUSY),
        (ExceptionGroup("", [BUSY]), BUSY),
        (ExceptionGroup("", [ExceptionGroup("", [BUSY]), ModelError("x", "y")]), BUSY),
        (BUG, BUG),
        (ExceptionGroup("", [BUG]), None),
        (ExceptionGroup("", [BUSY, BUG]), None),
        (BaseExceptionGroup("", [BUSY, SystemExit()]), None),
    ],
)
async def test_a_group_of_a_models_failures_is_the_first_of_them(
    failure: BaseException, raised: BaseException | None
) -> None:
    with pytest.raises(BaseException) as caught:
        await ask(Failing(failure), ModelRequest(()), Emitted())
    assert caught.value is (raised or failure)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (ValueError("no key"), "no key"),
        (OSError("no route"), "no route"),
        (StoreUnavailable("away"), "away"),
        (BUSY, "busy: come back"),
        (ModelError("model-unavailable", "it is gone"), "it is gone"),
    ],
)
def test_what_keeps_a_model_from_being_opened(failure: Exception, message: str) -> None:
    error = unavailable(failure)
    assert (error.code, error.message) == ("model-unavailable", message)
    assert error is not failure


def test_a_bug_is_no_reason() -> None:
    with pytest.raises(KeyError) as caught:
        unavailable(BUG)
    assert caught.value is BUG
