"""A model that says what the script says."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec
import trio

from .._errors import ModelError
from ..models._model import Emit, Model
from ..models._parts import (
    ModelFinish,
    ModelPart,
    ModelRequest,
    OutputPart,
    TextPart,
    ToolInputPart,
)

Line: TypeAlias = (
    str | ModelPart | tuple[ModelPart, ...] | float | trio.Event | Exception | ModelFinish
)
"""One line of an answer: text or a part to emit, parts to emit at once, seconds to sleep, an event
to wait for, an error to raise, or the end of the answer."""


def call(id: str, name: str, /, **arguments: Any) -> ToolInputPart:  # noqa: A002
    """Make the part that calls a tool with these arguments."""
    return ToolInputPart(id, name, msgspec.json.encode(arguments).decode())


def output(value: Any, *, size: int = 8) -> list[OutputPart]:
    """Make the parts of an answer that has a shape, as many lines of a script.

    Args:
        value: what has a JSON form. What is none is said by an `OutputPart` of its own.
        size: characters of each part.
    """
    text = msgspec.json.encode(value).decode()
    return [OutputPart(text[i : i + size]) for i in range(0, len(text), size)]


class ScriptedModel(Model):
    """Answers its first request with the first script, and so on.

    An answer that names no `ModelFinish` ends with ``tool-calls`` if it called any, else ``stop``.

    >>> ScriptedModel([call("1", "get_weather", city="Oslo")], ["It is ", "cold."])
    >>> ScriptedModel(output({"city": "Oslo"}))
    """

    def __init__(self, *answers: Iterable[Line]) -> None:
        self._answers = [tuple(answer) for answer in answers]
        self.requests: list[ModelRequest] = []
        """What the model was asked."""

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        """Play the next answer. A checkpoint.

        Raises:
            ModelError: ``script-ended``, there is none; or what the script says.
        """
        self.requests.append(request)
        asked, scripted = len(self.requests), len(self._answers)
        await trio.lowlevel.checkpoint()
        if asked > scripted:
            answers = "1 answer is" if scripted == 1 else f"{scripted} answers are"
            raise ModelError(
                "script-ended", f"this is request {asked} of the model, but {answers} scripted"
            )
        called = False
        for line in self._answers[asked - 1]:
            match line:
                case str():
                    await emit(TextPart(line))
                case float() | int():
                    await trio.sleep(line)
                case trio.Event():
                    await line.wait()
                case Exception():
                    raise line
                case ModelFinish():
                    return line
                case tuple():
                    called |= any(isinstance(part, ToolInputPart) for part in line)
                    await emit(*line)
                case _:
                    called |= isinstance(line, ToolInputPart)
                    await emit(line)
        return ModelFinish("tool-calls" if called else "stop")
