"""What a model has by default: nothing to open, and always there."""

import pytest
import trio.testing
from model_kit import Emitted

from trio_agent._messages import UserMessage
from trio_agent.models._model import Emit, Model
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
