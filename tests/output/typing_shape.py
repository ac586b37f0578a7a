"""Checked by mypy and pyright, never run: a shape knows what its answers are."""

import dataclasses
from typing import Any, assert_type

from trio_agent._output.shape import Shape, shape_of


@dataclasses.dataclass
class Verdict:
    right: bool


@dataclasses.dataclass
class Question:
    ask: str


def check() -> None:
    assert_type(shape_of(Verdict), Shape[Verdict])
    assert_type(shape_of(Verdict).parse(""), Verdict)
    assert_type(shape_of(list[int]).parse(""), list[int])
    assert_type(shape_of((Verdict, Question)).parse(""), Verdict | Question)
    assert_type(shape_of((Verdict, Question, str)).parse(""), Verdict | Question | str)
    assert_type(shape_of(Verdict | Question).parse(""), Any)

    shape = shape_of(Verdict)
    wider: Shape[Verdict | Question] = shape
    other: Shape[Question] = shape  # type: ignore[assignment]
    assert wider is other
