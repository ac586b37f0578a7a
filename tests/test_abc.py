"""What you implement stores, models and instruments with: all of it is public, and enough."""

import inspect
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import trio_agent
from trio_agent import Agent, abc, open_runtime
from trio_agent.abc import (
    Emit,
    Instrument,
    Model,
    ModelFinish,
    ModelRequest,
    Store,
    TextPart,
    Watch,
)

FOR_STORES = {
    *("Store", "Watch", "NewsWatch", "open_plain_nursery", "lock_file"),
    *("RunRecord", "RunInfo", "Created", "Lease", "Page"),
    *("Append", "Appended", "Entry", "Retention"),
    *("ThreadInfo", "ThreadCursor", "Turn"),
}
FOR_INSTRUMENTS = {
    *("Instrument", "StepFacts", "ModelFacts", "ModelRetried", "ModelSwitched", "ToolFacts"),
    *("RunEnd", "StepEnd", "ModelEnd", "ToolEnd"),
}
CONSTANTS = {"PAGE_BYTES", "LIMIT_NAMES"}
FOR_MODELS = {
    *("Model", "Emit", "ModelRequest", "ModelFinish", "ToolSpec"),
    *("ModelPart", "TextPart", "ReasoningPart", "ToolInputPart"),
}


@pytest.mark.parametrize("name", sorted(FOR_STORES | FOR_MODELS | FOR_INSTRUMENTS | CONSTANTS))
def test_a_name_is_there(name: str) -> None:
    assert hasattr(abc, name)


@pytest.mark.parametrize(
    "name", sorted(name for name in vars(abc).keys() - CONSTANTS if not name.startswith("_"))
)
def test_a_name_is_of_this_package_and_said_to_be_public(name: str) -> None:
    value = getattr(abc, name)
    if isinstance(value, int):
        return  # a constant says nothing of itself
    for each in typing.get_args(value) or [value]:
        assert each.__module__.startswith("trio_agent.")
        assert inspect.getdoc(each)


SPECIAL = {"__init__", "__call__"}


def named_in(annotation: object) -> Iterator[type[Any]]:
    """All classes of this package in an annotation."""
    if isinstance(annotation, type) and annotation.__module__.startswith("trio_agent."):
        yield annotation
    for each in typing.get_args(annotation):
        yield from named_in(each)


def named_by(cls: type[Any]) -> set[type[Any]]:
    """All classes of this package in the fields and methods of a class."""
    members: list[Any] = [cls]
    for name, member in vars(cls).items():
        member = getattr(member, "fget", None) or getattr(member, "__func__", member)
        if inspect.isfunction(member) and (name in SPECIAL or not name.startswith("_")):
            members.append(member)
    hints = [hint for member in members for hint in typing.get_type_hints(member).values()]
    return {each for hint in hints for each in named_in(hint)}


def test_what_is_named_there_is_public() -> None:
    """Whoever implements a store or a model meets no class that can't be imported."""
    public = {
        id(value)
        for module in (abc, trio_agent)
        for name, value in vars(module).items()
        if not name.startswith("_")
    }
    seen: set[type[Any]] = set()
    left: set[type[Any]] = {Store, Watch, Model, Emit, Instrument}
    while left:
        cls = left.pop()
        seen.add(cls)
        assert id(cls) in public, f"{cls} is private"
        left |= named_by(cls) - seen
    assert {each.__name__ for each in seen} >= (FOR_STORES | FOR_MODELS | FOR_INSTRUMENTS) - {
        *("NewsWatch", "open_plain_nursery", "lock_file"),  # what helps, but is not asked for
        *("ModelPart",),  # a union, whose parts are here
    }


async def test_a_model_of_public_names_answers() -> None:
    class Echo(Model):
        async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
            await emit(TextPart(f"{len(request.messages)} message"))
            return ModelFinish("stop")

    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=Echo()), "Hi")
        assert (await run.wait()).text == "1 message"
