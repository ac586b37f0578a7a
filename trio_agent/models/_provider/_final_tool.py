"""The tool by which a model gives an answer that has a shape: its input is the answer.

Nobody sees that there is such a tool. If it is called more than once, the first call counts.
"""

from collections.abc import Iterable, Iterator

from .._parts import ModelPart, OutputPart, ToolInputPart


class FinalTool:
    """Turns the first call of the tool into the answer, and drops the others.

    Args:
        name: of the tool.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._id: str | None = None

    def feed(self, parts: Iterable[ModelPart]) -> Iterator[ModelPart]:
        """Give the parts on without its calls."""
        for part in parts:
            if type(part) is not ToolInputPart or part.name != self._name:
                yield part
                continue
            if self._id is None:
                self._id = part.id
            if part.id == self._id and part.delta:
                yield OutputPart(part.delta)

    def flush(self) -> Iterator[ModelPart]:
        """Nothing is ever held back."""
        yield from ()
