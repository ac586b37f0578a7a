"""How instruments are called: only where they have a method, in order, and harmless."""

import contextvars
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from instrument_kit import AROUND, Listener

from trio_agent._errors import ModelError
from trio_agent._events import Usage
from trio_agent._instrument.contract import Instrument
from trio_agent._instrument.facts import (
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
from trio_agent._instrument.instruments import Boundary, Instruments
from trio_agent.tools._context import RunFacts

RUN = RunFacts(run_id="r", agent="a")
STEP = StepFacts(run=RUN, number=1)
MODEL = ModelFacts(run=RUN, step=1, model="m")
TOOL = ToolFacts(run=RUN, step=1, tool="look", call_id="c")
RETRIED = ModelRetried(asked=MODEL, error="busy", delay=0.5)
SWITCHED = ModelSwitched(asked=MODEL, from_model="m", to_model="n", error="busy")

BOUNDARIES: dict[str, Callable[[Instruments], Boundary[Any]]] = {
    "run": lambda instruments: instruments.run(RUN),
    "step": lambda instruments: instruments.step(STEP),
    "model": lambda instruments: instruments.model(MODEL),
    "tool": lambda instruments: instruments.tool(TOOL),
}


@attrs.define(eq=False)
class Recorder(Listener):
    """Keeps whatever it is told."""

    seen: list[object] = attrs.field(factory=list)
    name: str = ""

    def began(self, facts: Any) -> None:
        self.seen.append((self.name, facts) if self.name else facts)

    def ended(self, end: Any) -> None:
        self.seen.append((self.name, end) if self.name else end)

    def heard(self, facts: Any) -> None:
        self.seen.append(facts)


async def test_what_is_told(autojump_clock: trio.testing.MockClock) -> None:
    recorder = Recorder()
    instruments = Instruments([recorder])
    with instruments.run(RUN) as run:
        with instruments.step(STEP):
            with instruments.model(MODEL) as model:
                instruments.model_retried(RETRIED)
                await trio.sleep(2)
                instruments.model_switched(SWITCHED)
                model.end = ModelEnd(reason="stop", usage=Usage(1, 2, 3))
            with instruments.tool(TOOL) as tool:
                await trio.sleep(1)
                tool.end = ToolEnd(status="ok")
        run.end = RunEnd(outcome="stop", steps=1)
    assert recorder.seen == [
        *(RUN, STEP, MODEL, RETRIED, SWITCHED),
        ModelEnd(seconds=2, reason="stop", usage=Usage(1, 2, 3)),
        TOOL,
        ToolEnd(seconds=1, status="ok"),
        StepEnd(seconds=3),
        RunEnd(seconds=3, outcome="stop", steps=1),
    ]


async def test_only_methods_of_its_own_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def must_not_be_called(*_: object) -> None:
        pytest.fail("it has no method of its own")

    told: list[object] = []

    class Tools(Instrument):
        def tool(self, call: ToolFacts, /) -> AROUND:
            told.append(call)
            yield

    instruments = Instruments([Tools()])
    # Without anybody who wants to know, not even a guard is asked.
    monkeypatch.setattr("trio_agent._instrument.instruments._Guard.call", must_not_be_called)
    for name in ("run", "step", "model"):
        with BOUNDARIES[name](instruments):
            pass
    instruments.model_retried(RETRIED)
    instruments.model_switched(SWITCHED)
    monkeypatch.undo()
    with instruments.tool(TOOL):
        pass
    assert told == [TOOL]


async def test_they_stand_in_each_other() -> None:
    seen: list[Any] = []
    instruments = Instruments([Recorder(seen, "outer"), Recorder(seen, "inner")])
    with instruments.step(STEP):
        seen.append("work")
    assert [each if each == "work" else each[0] for each in seen] == [
        *("outer", "inner", "work", "inner", "outer")
    ]


@pytest.mark.parametrize("name", BOUNDARIES)
async def test_what_the_base_class_does_may_be_built_upon(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[object] = []

    class Polite(Instrument):
        pass

    def around(self: Any, facts: object) -> AROUND:
        end = yield from getattr(super(Polite, self), name)(facts)
        seen.append(end)

    setattr(Polite, name, around)
    polite = Polite()
    with BOUNDARIES[name](Instruments([polite])):
        pass
    polite.model_retried(RETRIED)
    polite.model_switched(SWITCHED)
    assert seen == [None]
    assert not caplog.records


async def test_who_returns_at_once_is_not_told_of_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[object] = []

    class Choosy(Instrument):
        def tool(self, call: ToolFacts, /) -> AROUND:
            seen.append(call)
            if call.tool != "interesting":
                return
            seen.append((yield))

    with Instruments([Choosy()]).tool(TOOL):
        pass
    assert seen == [TOOL]
    assert not caplog.records


class Model(Exception):
    """Something that a run does not expect."""


async def test_a_context_that_an_exception_leaves() -> None:
    """The error of a step or a model's answer is known without anybody's saying it."""
    for failure, error in [
        (ModelError("busy", "s3cret"), "busy"),
        (Model("s3cret"), "Model"),
        (ExceptionGroup("x", [ExceptionGroup("y", [ModelError("gone", "s3cret")])]), "gone"),
        (KeyboardInterrupt(), "cancelled"),
    ]:
        for name, ends in {
            "run": RunEnd(),
            "step": StepEnd(error=error),
            "model": ModelEnd(error=error),
            "tool": ToolEnd(),
        }.items():
            recorder = Recorder()
            with pytest.raises(type(failure)), BOUNDARIES[name](Instruments([recorder])):
                raise failure
            end: Any = recorder.seen[-1]
            assert attrs.evolve(end, seconds=0.0) == ends


async def test_what_is_cancelled_is_told_so(autojump_clock: trio.testing.MockClock) -> None:
    recorder = Recorder()
    with trio.move_on_after(3), Instruments([recorder]).step(STEP):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
    assert recorder.seen[-1] == StepEnd(seconds=3, error="cancelled")


class FailsAtTheBeginning(Instrument):
    calls = 0

    def step(self, step: StepFacts, /) -> AROUND:
        self.calls += 1
        raise KeyError("s")
        yield


class FailsAtTheEnd(Instrument):
    calls = 0

    def step(self, step: StepFacts, /) -> AROUND:
        self.calls += 1
        yield
        raise SystemExit(3)


class YieldsTwice(Instrument):
    calls = 0

    def step(self, step: StepFacts, /) -> AROUND:
        self.calls += 1
        yield
        yield


class YieldsNever(Instrument):
    calls = 0

    def step(self, step: StepFacts, /) -> AROUND:
        self.calls += 1
        return None  # type: ignore[return-value]


class Decorated(Instrument):
    calls = 0

    @contextmanager
    def step(self, step: StepFacts, /) -> AROUND:  # type: ignore[override]
        self.calls += 1
        yield


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FailsAtTheBeginning, "KeyError: 's'"),
        (FailsAtTheEnd, "SystemExit: 3"),
        (YieldsTwice, "RuntimeError: this method is to yield once: it did so again"),
        (YieldsNever, "TypeError: this method is to be a generator that yields once"),
        (Decorated, "TypeError: this method is to be a generator that yields once"),
    ],
)
async def test_one_that_fails_is_called_no_more(
    kind: type[Any], error: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorder, failing = Recorder(), kind()
    instruments = Instruments([failing, recorder])
    for _ in range(3):
        with instruments.step(STEP):
            pass
    assert failing.calls == (0 if kind is Decorated else 1)
    assert len(recorder.seen) == 6
    [record] = caplog.records
    assert (record.levelname, record.name) == ("ERROR", "trio_agent")
    assert record.getMessage() == f"instrument {kind.__name__} failed: it is called no more"
    assert error in caplog.text
    assert "Traceback" in caplog.text


async def test_what_it_has_begun_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    """In its own task, and what goes wrong then is not told again."""
    seen: list[str] = []

    class Sore(Instrument):
        def run(self, run: RunFacts, /) -> AROUND:
            try:
                yield
                seen.append("the end")
            finally:
                seen.append("closed")
                raise KeyError("again")

        def model_retried(self, retried: ModelRetried, /) -> None:
            seen.append("retried")
            raise KeyError("x")

    instruments = Instruments([Sore()])
    with instruments.run(RUN):
        instruments.model_retried(RETRIED)
        instruments.model_retried(RETRIED)
    assert seen == ["retried", "closed"]
    assert len(caplog.records) == 1
    with instruments.run(RUN):
        pass
    assert seen == ["retried", "closed"]


async def test_control_c_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Unlucky(Instrument):
        def model_switched(self, switched: ModelSwitched, /) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Instruments([Unlucky()]).model_switched(SWITCHED)
    assert not caplog.records


def test_what_is_no_instrument() -> None:
    with pytest.raises(TypeError, match=r"Recorder.* is no trio_agent\.abc\.Instrument"):
        Instruments([Recorder])  # type: ignore[list-item]


CURRENT: contextvars.ContextVar[str] = contextvars.ContextVar("current", default="nothing")


class Tracer(Instrument):
    """As tracers do: a span is current while its `with` lasts; its parent is the one before."""

    def __init__(self) -> None:
        self.parents: dict[str, str] = {}

    @contextmanager
    def _span(self, name: str) -> Iterator[None]:
        self.parents[name] = CURRENT.get()
        token = CURRENT.set(name)
        try:
            yield
        finally:
            CURRENT.reset(token)  # raises if this is another context

    def run(self, run: RunFacts, /) -> AROUND:
        with self._span(f"run {run.agent}"):
            yield

    def tool(self, call: ToolFacts, /) -> AROUND:
        with self._span(f"tool {call.call_id}"):
            yield


async def test_context_variables_hold_for_what_is_done_within(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracer = Tracer()
    instruments = Instruments([tracer])
    inside: list[str] = []

    async def call(number: int) -> None:
        with instruments.tool(attrs.evolve(TOOL, call_id=str(number))):
            await trio.lowlevel.checkpoint()
            inside.append(await trio.to_thread.run_sync(CURRENT.get))
            child = RunFacts(run_id="r", agent=f"child {number}", parent=str(number))
            with instruments.run(child):
                await trio.lowlevel.checkpoint()
            inside.append(CURRENT.get())

    with instruments.run(RUN):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, 1)
            nursery.start_soon(call, 2)
        inside.append(CURRENT.get())
    assert CURRENT.get() == "nothing"
    assert sorted(inside) == ["run a", "tool 1", "tool 1", "tool 2", "tool 2"]
    assert tracer.parents == {
        "run a": "nothing",
        "tool 1": "run a",
        "tool 2": "run a",
        "run child 1": "tool 1",
        "run child 2": "tool 2",
    }
    assert not caplog.records


async def test_also_where_it_failed_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Tracer):
        def step(self, step: StepFacts, /) -> AROUND:
            raise KeyError("x")

    instruments = Instruments([Failing()])
    with caplog.at_level(logging.ERROR), instruments.run(RUN), instruments.step(STEP):
        assert CURRENT.get() == "run a"
    assert CURRENT.get() == "nothing"
    assert len(caplog.records) == 1
