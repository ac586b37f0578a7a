"""The instruments of a runtime, as they are seen by what is measured.

Nothing that an instrument does harms a run: what it raises is logged once, and then it is called
no more. Where it has no method, it costs nothing. A generator is driven only by the task that it
stands around, and ended there, too, if its instrument has failed elsewhere meanwhile: context
variables are reset where they were set.
"""

import logging
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, TypeAlias, TypeVar

import attrs
import trio

from .._errors import ModelError
from .._nursery import split_stops
from ..tools._context import RunFacts
from .contract import Instrument
from .facts import (
    ModelEnd,
    ModelFacts,
    ModelRetried,
    ModelSwitched,
    RunEnd,
    StepEnd,
    StepFacts,
    ToolEnd,
    ToolFacts,
)

logger = logging.getLogger("trio_agent")

P = ParamSpec("P")
R = TypeVar("R")
EndT = TypeVar("EndT", bound=RunEnd | StepEnd | ModelEnd | ToolEnd)

_INHERITED: Final = {name: each for name, each in vars(Instrument).items() if name[0] != "_"}


@attrs.define(eq=False)
class _Guard:
    """Calls what belongs to an instrument, and knows whether that has failed."""

    _name: str
    failed: bool = False

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: ASYNC103 - sync code: nothing here is cancelled
            if not self.failed:
                self.failed = True
                logger.exception("instrument %s failed: it is called no more", self._name)
            return None  # noqa: ASYNC104


_OVER: Final = object()
_Hook: TypeAlias = tuple[_Guard, Callable[[Any], Any]]
_Begun: TypeAlias = Generator[None, Any, None]


class Boundary(Generic[EndT]):
    """Stands around what is measured, as a context. Its instruments begin and end in this task."""

    def __init__(self, hooks: tuple[_Hook, ...], facts: object, end: EndT) -> None:
        self.end: EndT = end
        """How it ended, but for `seconds` and, if an exception leaves the context, `error`."""
        self._hooks = hooks
        self._facts = facts
        self._begun: list[tuple[_Guard, _Begun]] = []
        self._began = 0.0

    def __enter__(self) -> "Boundary[EndT]":
        self._began = trio.current_time()
        for guard, method in self._hooks:
            begun = None if guard.failed else guard.call(_begin, method, self._facts)
            if begun is not None:
                self._begun.append((guard, begun))
        return self

    def __exit__(
        self, _: type[BaseException] | None, exc: BaseException | None, __: TracebackType | None
    ) -> None:
        if not self._begun:
            return
        end = attrs.evolve(self.end, seconds=trio.current_time() - self._began)
        if exc is not None and isinstance(end, StepEnd | ModelEnd):
            end = attrs.evolve(end, error=_error_of(exc))
        for guard, begun in reversed(self._begun):
            if guard.failed:
                guard.call(begun.close)
            else:
                guard.call(_end, begun, end)


def _begin(method: Callable[[Any], Any], facts: object) -> _Begun | None:
    made = method(facts)
    if not isinstance(made, Generator):
        raise TypeError("this method is to be a generator that yields once, undecorated")
    return made if next(made, _OVER) is not _OVER else None


def _end(begun: _Begun, end: object) -> None:
    try:
        begun.send(end)
    except StopIteration:
        return
    begun.close()
    raise RuntimeError("this method is to yield once: it did so again")


def _error_of(exc: BaseException) -> str:
    stop, failures = split_stops(exc)
    if stop is not None:
        return "cancelled"
    first = failures[0]
    return first.code if isinstance(first, ModelError) else type(first).__name__


class Instruments:
    """Calls those instruments that have something to do at a moment."""

    def __init__(self, instruments: Iterable[Instrument] = ()) -> None:
        hooks: dict[str, list[_Hook]] = {name: [] for name in _INHERITED}
        for instrument in instruments:
            if not isinstance(instrument, Instrument):
                raise TypeError(f"{instrument!r} is no trio_agent.abc.Instrument: make it one")
            guard = _Guard(type(instrument).__qualname__)
            for name, inherited in _INHERITED.items():
                method = getattr(instrument, name)
                if getattr(method, "__func__", None) is not inherited:
                    hooks[name].append((guard, method))
        self._hooks = {name: tuple(each) for name, each in hooks.items()}

    def run(self, facts: RunFacts) -> Boundary[RunEnd]:
        """Stand around a run."""
        return Boundary(self._hooks["run"], facts, RunEnd())

    def step(self, facts: StepFacts) -> Boundary[StepEnd]:
        """Stand around a step."""
        return Boundary(self._hooks["step"], facts, StepEnd())

    def model(self, facts: ModelFacts) -> Boundary[ModelEnd]:
        """Stand around a model's answer."""
        return Boundary(self._hooks["model"], facts, ModelEnd())

    def tool(self, facts: ToolFacts) -> Boundary[ToolEnd]:
        """Stand around a call. If it has no other end, it was cancelled."""
        return Boundary(self._hooks["tool"], facts, ToolEnd())

    def model_retried(self, facts: ModelRetried) -> None:
        """Tell that a model is asked again."""
        self._tell("model_retried", facts)

    def model_switched(self, facts: ModelSwitched) -> None:
        """Tell that another model is asked."""
        self._tell("model_switched", facts)

    def _tell(self, name: str, facts: object) -> None:
        for guard, method in self._hooks[name]:
            if not guard.failed:
                guard.call(method, facts)
