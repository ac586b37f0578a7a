"""A model that asks others: who answers, what is told of it, and how each of them is kept open."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from model_kit import Emitted
from runtime_kit import logged

from trio_agent import FallbackModel, Limits, OpenAIModel, RunFailed, open_runtime, tool
from trio_agent._agent import Agent
from trio_agent._errors import LimitExceeded, ModelError
from trio_agent._events import AnyEvent, ErrorDetail, ModelFinished, ModelSwitch, TextDelta
from trio_agent._messages import UserMessage
from trio_agent.models._fallback import OpenedFallback
from trio_agent.models._model import Model
from trio_agent.models._names import model_named
from trio_agent.models._parts import (
    ModelFinish,
    ModelPart,
    ModelRequest,
    ReasoningPart,
    SwitchPart,
    TextPart,
    ToolInputPart,
)
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import Line, ScriptedModel, Sweep, call, cancel_sweep, openai as scripted
from trio_agent.testing.openai import open_scripted_openai

ASK = ModelRequest((UserMessage("Hi"),))


class Named(ScriptedModel):
    """A scripted model that is called something, and may have to be opened."""

    def __init__(self, name: str, *answers: list[Line]) -> None:
        super().__init__(*answers)
        self._name = name
        self.failure: BaseException | None = None
        self.go_on: trio.Event | None = None
        self.broken = trio.Event()
        self.how: list[str] = []
        self.reachable: list[ModelError | None] = []

    @property
    def name(self) -> str:
        return self._name

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Model]:
        self.how.append("opening")
        if self.go_on is not None:
            await self.go_on.wait()
        if self.failure is not None:
            raise self.failure

        async def break_down() -> None:
            await self.broken.wait()
            raise RuntimeError("the connection is gone")

        self.how.append("open")
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(break_down)
                yield self
                await trio.lowlevel.checkpoint()  # closes in good order
                self.how.append("closed")
                nursery.cancel_scope.cancel()
        finally:
            self.how.append("left")

    async def check(self) -> None:
        await trio.lowlevel.checkpoint()
        if error := self.reachable.pop(0):
            raise error


def error(code: str, *, again: bool = False, after: float | None = None) -> ModelError:
    return ModelError(code, f"it says {code}", retryable=again, retry_after=after)


def switch(first: str, second: str, code: str) -> SwitchPart:
    return SwitchPart(first, second, code, f"it says {code}")


async def ask(model: Model, emitted: Emitted | None = None) -> tuple[list[ModelPart], ModelFinish]:
    emitted = Emitted() if emitted is None else emitted
    async with model.open() as opened:
        return emitted, await opened.generate(ASK, emitted)


FAILURES: list[list[Line]] = [
    [error("busy")],
    [error("busy", again=True, after=20)],
    [error("context-length")],
    [error("bad-request")],
    [0.5, error("timeout-first-token", again=True)],
]


class TestWhoAnswers:
    async def test_the_first(self) -> None:
        first, second = Named("a", ["Hi"]), Named("b")
        parts, finish = await ask(FallbackModel(first, second))
        assert (parts, finish) == ([TextPart("Hi")], ModelFinish("stop", model="a"))
        assert first.requests == [ASK]
        assert second.requests == []

    @pytest.mark.parametrize("failure", FAILURES)
    async def test_the_next_if_it_fails(
        self, failure: list[Line], autojump_clock: trio.testing.MockClock
    ) -> None:
        first, second = Named("a", failure, ["?"]), Named("b", ["Hi", " there"])
        parts, finish = await ask(FallbackModel(first, second))
        code = failure[-1].code  # type: ignore[union-attr]
        assert parts == [switch("a", "b", code), TextPart("Hi"), TextPart(" there")]
        assert finish.model == "b"
        assert first.requests == second.requests == [ASK]

    async def test_the_one_after_that(self) -> None:
        models = [Named(name, [error(name * 2)]) for name in "abc"]
        parts, finish = await ask(FallbackModel(*models, Named("d", ["Hi"])))
        switches = [switch("a", "b", "aa"), switch("b", "c", "bb"), switch("c", "d", "cc")]
        assert parts == [*switches, TextPart("Hi")]
        assert finish.model == "d"

    async def test_its_finish_is_handed_on(self) -> None:
        whole = ModelFinish("length", model="b at home", provider={"b": 1})
        _, finish = await ask(FallbackModel(Named("a", [error("x")]), Named("b", ["Hi", whole])))
        assert finish is whole

    async def test_each_call_begins_with_the_first(self) -> None:
        first = Named("a", [error("x")], ["one"], [error("y")])
        second = Named("b", ["two"], ["three"])
        async with FallbackModel(first, second).open() as model:
            said = Emitted()
            names = [(await model.generate(ASK, said)).model for _ in range(3)]
        assert names == ["b", "a", "b"]
        texts = [part.delta for part in said if isinstance(part, TextPart)]
        assert texts == ["two", "one", "three"]

    async def test_calls_at_one_time_know_nothing_of_each_other(self) -> None:
        go_on = trio.Event()
        first, second = Named("a", [go_on, error("x")], ["one"]), Named("b", ["two"])
        said: dict[int, Emitted] = {1: Emitted(), 2: Emitted()}
        async with FallbackModel(first, second).open() as model, trio.open_nursery() as nursery:
            nursery.start_soon(model.generate, ASK, said[1])
            await trio.testing.wait_all_tasks_blocked()
            await model.generate(ASK, said[2])
            go_on.set()
        assert said[2] == [TextPart("one")]
        assert said[1] == [switch("a", "b", "x"), TextPart("two")]

    @pytest.mark.parametrize(
        "part", [TextPart("Hi"), ReasoningPart("Hm"), ToolInputPart("1", "look", "")]
    )
    async def test_nobody_else_once_it_has_spoken(self, part: ModelPart) -> None:
        failure = error("cut-stream", again=True, after=7)
        first, second = Named("a", [part, failure]), Named("b", ["Hi"])
        emitted = Emitted()
        with pytest.raises(ModelError) as caught:
            await ask(FallbackModel(first, second), emitted)
        assert caught.value is failure
        assert emitted == [part]
        assert second.requests == []

    @pytest.mark.parametrize("failure", [KeyError("bug"), LimitExceeded("full"), OSError("x")])
    async def test_what_is_no_failure_of_a_model_goes_straight_through(
        self, failure: Exception
    ) -> None:
        second = Named("b", ["Hi"])
        with pytest.raises(type(failure)) as caught:
            await ask(FallbackModel(Named("a", [failure]), second))
        assert caught.value is failure
        assert second.requests == []

    async def test_a_model_that_fails_in_its_nursery(self) -> None:
        group: Any = ExceptionGroup("", [error("x"), error("y")])
        parts, _ = await ask(FallbackModel(Named("a", [group]), Named("b", ["Hi"])))
        assert parts == [switch("a", "b", "x"), TextPart("Hi")]
        bugs: Any = ExceptionGroup("", [error("x"), KeyError("bug")])
        with pytest.raises(ExceptionGroup) as caught:
            await ask(FallbackModel(Named("a", [bugs]), Named("b", ["Hi"])))
        assert caught.value is bugs

    async def test_within_another(self) -> None:
        inner = FallbackModel(Named("a", [error("x")]), Named("b", [error("y", again=True)]))
        parts, finish = await ask(FallbackModel(inner, Named("c", ["Hi"])))
        assert parts == [switch("a", "b", "x"), switch("a | b", "c", "y"), TextPart("Hi")]
        assert finish.model == "c"
        inner = FallbackModel(Named("b", [error("y")]), Named("c", ["Hi"]))
        parts, finish = await ask(FallbackModel(Named("a", [error("x")]), inner))
        assert parts == [switch("a", "b | c", "x"), switch("b", "c", "y"), TextPart("Hi")]
        assert finish.model == "c"

    async def test_who_has_no_room_lets_it_wait(self) -> None:
        class Full(Emitted):
            room_again = trio.Event()

            async def room(self) -> None:
                await self.room_again.wait()

        full = Full()
        second = Named("b", ["Hi"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, FallbackModel(Named("a", [error("x")]), second), full)
            await trio.testing.wait_all_tasks_blocked()
            assert full == [switch("a", "b", "x")]
            assert second.requests == []
            full.room_again.set()
        assert full[1:] == [TextPart("Hi")]


@pytest.mark.parametrize(
    ("failures", "code", "retryable", "retry_after"),
    [
        ([error("x"), error("y")], "y", False, None),
        ([error("x", after=3), error("y", after=4)], "y", False, 4),
        ([error("x", again=True), error("y")], "y", True, None),
        ([error("x", again=True, after=9), error("y")], "y", True, 9),
        ([error("x", again=True, after=9), error("y", after=2)], "y", True, 9),
        ([error("x", again=True, after=9), error("y", again=True, after=5)], "y", True, 5),
        ([error("x", again=True, after=9), error("y", again=True)], "y", True, None),
        ([error("x"), error("y", again=True, after=5)], "y", True, 5),
    ],
)
async def test_if_all_fail_the_last_one_says_why_and_any_of_them_may_be_asked_again(
    failures: list[ModelError], code: str, retryable: bool, retry_after: float | None
) -> None:
    emitted = Emitted()
    models = [Named(name, [each]) for name, each in zip("ab", failures, strict=True)]
    with pytest.raises(ModelError) as caught:
        await ask(FallbackModel(*models), emitted)
    raised = caught.value
    assert (raised.code, raised.message) == (code, f"it says {code}")
    assert (raised.retryable, raised.retry_after) == (retryable, retry_after)
    assert emitted == [switch("a", "b", "x")]


class TestSwitchOn:
    @pytest.mark.parametrize(
        ("codes", "text", "code"),
        [
            (["auth"], "", "auth"),
            (["busy"], "Hi", None),
            (["busy", "busy"], "Hi", None),
            (["busy", "auth"], "", "auth"),
        ],
    )
    async def test_decides(self, codes: list[str], text: str, code: str | None) -> None:
        seen: list[str] = []

        def is_busy(failure: ModelError) -> bool:
            seen.append(failure.code)
            return failure.code == "busy"

        scripts: list[list[Line]] = [[error(each, again=each == "busy")] for each in codes]
        models = [*map(ScriptedModel, scripts), ScriptedModel(["Hi"])]
        emitted = Emitted()
        caught = None
        try:
            await ask(FallbackModel(*models, switch_on=is_busy), emitted)
        except ModelError as exc:
            caught = exc
        assert "".join(part.delta for part in emitted if isinstance(part, TextPart)) == text
        assert seen == codes
        assert (caught and caught.code) == code
        if caught is not None:
            assert caught.retryable is ("busy" in codes)

    async def test_its_bugs_are_bugs(self) -> None:
        model = FallbackModel(Named("a", [error("x")]), Named("b"), switch_on=lambda _: 1 // 0 > 0)
        with pytest.raises(ZeroDivisionError):
            await ask(model)


class TestOpening:
    async def test_side_by_side_and_closed_in_good_order(self) -> None:
        models = [Named("a"), Named("b")]
        for model in models:
            model.go_on = trio.Event()
        opened: list[Model] = []

        async def hold(until: trio.Event) -> None:
            async with FallbackModel(*models).open() as fallback:
                opened.append(fallback)
                await until.wait()

        until = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold, until)
            for model in models:
                await trio.testing.wait_all_tasks_blocked()
                assert [each.how[0] for each in models] == ["opening"] * 2
                assert opened == []
                assert model.go_on is not None
                model.go_on.set()
            await trio.testing.wait_all_tasks_blocked()
            assert isinstance(opened[0], OpenedFallback)
            assert opened[0].name == "a | b"
            until.set()
        assert [model.how for model in models] == [["opening", "open", "closed", "left"]] * 2

    @pytest.mark.parametrize(
        ("failure", "message"),
        [
            (ValueError("no key"), "no key"),
            (OSError("no route"), "no route"),
            (ModelError("connect", "the proxy"), "connect: the proxy"),
            (ModelError("model-unavailable", "no"), "no"),
        ],
    )
    async def test_who_can_not_be_opened_fails_when_it_is_its_turn(
        self, failure: Exception, message: str
    ) -> None:
        first, second, third = Named("a"), Named("b", ["one"]), Named("c", ["two"])
        first.failure = failure
        unavailable = SwitchPart("a", "b", "model-unavailable", message)
        parts, _ = await ask(FallbackModel(first, second))
        assert parts == [unavailable, TextPart("one")]
        parts, _ = await ask(FallbackModel(third, first))
        assert parts == [TextPart("two")]
        emitted = Emitted()
        with pytest.raises(ModelError) as caught:
            await ask(FallbackModel(Named("c", [error("x", again=True)]), first), emitted)
        assert (caught.value.code, caught.value.message) == ("model-unavailable", message)
        assert caught.value.retryable  # it was the other one's turn to come back

    async def test_if_none_can_be_opened_the_sentence_names_each(self) -> None:
        first, second = Named("a"), Named("b")
        first.failure, second.failure = ValueError("no key"), OSError("no route")
        model = FallbackModel(first, second)
        with pytest.raises(ModelError) as caught:
            async with model.open():
                pytest.fail("none is open")
        assert caught.value.message == "no model can be opened: a: no key; b: no route"
        assert caught.value.code == "model-unavailable"
        # One that could not be opened is one that a fallback around it does without.
        parts, _ = await ask(FallbackModel(model, Named("c", ["Hi"])))
        [told, _] = parts
        assert isinstance(told, SwitchPart)
        assert told.message == "no model can be opened: a: no key; b: no route"

    async def test_a_bug_in_opening_is_no_failure_of_the_model(self) -> None:
        first, second = Named("a"), Named("b")
        first.failure = KeyError("bug")
        with pytest.raises(KeyError):
            async with FallbackModel(first, second).open():
                pytest.fail("it has a bug")
        assert second.how[-1] == "left"

    async def test_one_that_breaks_down_takes_no_other_along(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, second = Named("a", ["one"]), Named("b", ["two"], ["three"])
        async with FallbackModel(first, second).open() as model:
            emitted = Emitted()
            await model.generate(ASK, emitted)
            first.broken.set()
            await trio.testing.wait_all_tasks_blocked()
            assert "broke down" in caplog.text
            for _ in range(2):
                await model.generate(ASK, emitted)
        broken = SwitchPart("a", "b", "model-unavailable", "it broke down")
        assert emitted == [TextPart("one"), broken, TextPart("two"), broken, TextPart("three")]
        assert second.how == ["opening", "open", "closed", "left"]

    async def test_the_bodys_exception_comes_out_as_it_is(self) -> None:
        first, second = Named("a"), Named("b")
        with pytest.raises(KeyError):
            async with FallbackModel(first, second).open():
                raise KeyError
        assert first.how[-1] == second.how[-1] == "left"

    async def test_who_is_closed_does_not_answer(self) -> None:
        async with FallbackModel(Named("a"), Named("b", ["Hi"])).open() as model:
            pass
        emitted = Emitted()
        with pytest.raises(ModelError, match="model-unavailable: it is closed"):
            await model.generate(ASK, emitted)
        assert emitted == [SwitchPart("a", "b", "model-unavailable", "it is closed")]

    async def test_without_being_opened_it_opens_them_for_one_call(self) -> None:
        first, second = Named("a", [error("x")]), Named("b", ["Hi"])
        emitted = Emitted()
        await FallbackModel(first, second).generate(ASK, emitted)
        assert emitted == [switch("a", "b", "x"), TextPart("Hi")]
        assert first.how[-1] == second.how[-1] == "left"


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize(
    ("states", "message", "retryable"),
    [
        ([None, error("x")], None, False),
        ([error("x"), None], None, False),
        ([error("x"), error("y")], "no model can be reached: a: it says x; b: it says y", False),
        (
            [error("x", again=True), error("y")],
            "no model can be reached: a: it says x; b: it says y",
            True,
        ),
    ],
)
async def test_it_is_ready_if_any_is(
    states: list[ModelError | None], message: str | None, retryable: bool, opened: bool
) -> None:
    models = [Named(name) for name in "ab"]
    for model, state in zip(models, states, strict=True):
        model.reachable = [state]

    async def check(model: Model) -> None:
        with trio.testing.assert_checkpoints():
            if message is None:
                await model.check()
                return
            with pytest.raises(ModelError) as caught:
                await model.check()
            error = caught.value
            assert (error.code, error.message) == ("model-unavailable", message)
            assert error.retryable is retryable

    fallback = FallbackModel(*models)
    if opened:
        async with fallback.open() as opened_one:
            await check(opened_one)
    else:
        await check(fallback)
        assert models[0].how == []  # nothing was started for that


async def test_one_that_can_not_be_opened_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    broken, fine = OpenAIModel("m"), Named("b")
    fine.reachable = [None, error("x")]
    model = FallbackModel(broken, fine)
    await model.check()
    with pytest.raises(ModelError, match=r"can be reached: m: no API key: .*; b: it says x$"):
        await model.check()


class TestMaking:
    def test_names_are_those_of_models(self) -> None:
        model = FallbackModel("m:8b", "openai:n", ScriptedModel())
        assert model.models[:2] == (model_named("m:8b"), model_named("openai:n"))
        assert model.name == "m:8b | n | ScriptedModel"

    def test_one_of_the_same_models_is_the_same(self) -> None:
        assert FallbackModel("a", "b") == FallbackModel("a", "b")
        assert len({FallbackModel("a", "b"), FallbackModel("a", "b")}) == 1
        assert FallbackModel("a", "b") != FallbackModel("b", "a")
        assert FallbackModel("a", "b") != FallbackModel("a", "b", switch_on=bool)
        assert FallbackModel(ScriptedModel()) != FallbackModel(ScriptedModel())

    @pytest.mark.parametrize(
        ("make", "kind"),
        [
            (lambda: FallbackModel(), ValueError),
            (lambda: FallbackModel("a", ""), ValueError),
            (lambda: FallbackModel("a", None), TypeError),  # type: ignore[arg-type]
            (lambda: FallbackModel(["a", "b"]), TypeError),  # type: ignore[arg-type]
            (lambda: FallbackModel("a", switch_on=["busy"]), TypeError),  # type: ignore[arg-type]
        ],
    )
    def test_what_is_none(self, make: Callable[[], object], kind: type[Exception]) -> None:
        with pytest.raises(kind):
            make()

    def test_it_does_not_change(self) -> None:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            FallbackModel("a").models = ()  # type: ignore[misc]


def types(events: list[AnyEvent]) -> list[str]:
    return [str(event.__struct_config__.tag) for event in events]


class TestRuns:
    async def test_the_log_says_who_answered(self) -> None:
        @tool
        def look() -> str:
            """Look."""
            return "snow"

        model = FallbackModel(
            Named("a", [error("x")], ["Snow."]), Named("b", ["Hm. ", call("1", "look")])
        )
        async with open_runtime() as runtime:
            run = await runtime.start(Agent(model=model, tools=[look]), "hi")
            assert (await run.wait()).text == "Hm. Snow."
            events = await logged(runtime.store, run.id)
        assert types(events) == [
            *("run-start", "step-start", "model-switch", "text-delta", "tool-input-delta"),
            *("model-finish", "tool-call", "tool-result", "step-finish"),
            *("step-start", "text-delta", "model-finish", "step-finish", "run-finish"),
        ]
        [told] = [event for event in events if isinstance(event, ModelSwitch)]
        assert (told.step_number, told.from_, told.to) == (1, "a", "b")
        assert told.error == ErrorDetail("x", "it says x")
        answers = [event.model for event in events if isinstance(event, ModelFinished)]
        assert answers == ["b", "a"]

    async def test_a_switch_is_nothing_that_was_said(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """All fail and are asked again; the time to the first token is that of a token."""
        busy = error("busy", again=True)
        first = Named("a", [busy], [error("auth")], [10.0, busy])
        second = Named("b", [error("auth")], [busy], ["Hi"])
        async with open_runtime() as runtime:
            begin = trio.current_time()
            run = await runtime.start(Agent(model=FallbackModel(first, second)), "hi")
            assert (await run.wait()).text == "Hi"
            events = await logged(runtime.store, run.id)
        assert types(events)[:6] == ["run-start", "step-start", *["model-switch"] * 3, "text-delta"]
        assert len(first.requests) == len(second.requests) == 3
        assert run.first_token_at is not None
        assert run.first_token_at - begin > 10

    async def test_it_fails_when_it_was_asked_often_enough(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        busy: list[list[Line]] = [[error("busy", again=True, after=1)]]
        auth: list[list[Line]] = [[error("auth")]]
        model = FallbackModel(Named("a", *busy * 9), Named("b", *auth * 9))
        async with open_runtime() as runtime:
            agent = Agent(model=model, limits=Limits(model_retries=2))
            run = await runtime.start(agent, "hi")
            with pytest.raises(RunFailed, match=r"^auth: it says auth$"):
                await run.wait()
            events = await logged(runtime.store, run.id)
            assert run.first_token_at is None
        assert types(events) == ["run-start", "step-start", *["model-switch"] * 3, "error"]

    async def test_none_can_be_opened(self) -> None:
        first = Named("a")
        first.failure = ValueError("no key")
        async with open_runtime() as runtime:
            run = await runtime.start(Agent(model=FallbackModel(first)), "hi")
            with pytest.raises(RunFailed) as caught:
                await run.wait()
        assert str(caught.value) == "model-unavailable: no model can be opened: a: no key"


def test_cancelled_anywhere_it_leaves_nothing() -> None:
    async def scenario(sweep: Sweep) -> None:
        models = [Named("a", [0.1, error("busy", again=True)], [error("x")]), Named("b", [])]
        models[1]._answers = [(0.1, error("y")), (0.1, "Hi", 0.1, " there")]
        store = MemoryStore()
        with sweep:
            async with open_runtime(store=store) as runtime:
                run = await runtime.start(Agent(model=FallbackModel(*models)), "hi")
                await run.wait()
        for model in models:
            assert model.how in ([], ["opening"]) or model.how[-1] == "left"
        if not sweep.interrupted:
            events = await logged(store, run.id)
            assert "".join(e.delta for e in events if isinstance(e, TextDelta)) == "Hi there"
            assert "open" in models[0].how

    assert cancel_sweep(scenario) > 30


class TestOverSockets:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            ([scripted.status(500, body={"error": {"message": "oops"}})], "provider-error"),
            ([scripted.status(429, {"retry-after": "60"})], "rate-limit"),
            ([scripted.status(401, body=b"not sk-secret")], "auth"),
            ([scripted.status(400, body={"error": {"message": "no tools"}})], "bad-request"),
            ([scripted.cut()], "cut-stream"),
            ([scripted.end()], "cut-stream"),
            ([b"data: {]\n\n"], "bad-response"),
            ([scripted.hang()], "timeout-first-token"),
        ],
    )
    async def test_how_a_provider_fails(self, answer: list[scripted.Step], code: str) -> None:
        good = [scripted.text("Hi"), scripted.finish()]
        async with open_scripted_openai([answer]) as bad, open_scripted_openai([good]) as fine:
            model = FallbackModel(
                OpenAIModel(
                    "m", base_url=bad.base_url, first_token_deadline=0.1 if "time" in code else 60
                ),
                OpenAIModel("n", base_url=fine.base_url),
            )
            async with open_runtime() as runtime:
                run = await runtime.start(Agent(model=model), "hi")
                assert (await run.wait()).text == "Hi"
                events = await logged(runtime.store, run.id)
        assert types(events)[2:5] == ["model-switch", "text-delta", "model-finish"]
        told, finished = events[2], events[4]
        assert isinstance(told, ModelSwitch)
        assert isinstance(finished, ModelFinished)
        assert (told.from_, told.to, told.error.code) == ("m", "n", code)
        assert finished.model == "n"
        assert "secret" not in repr(events)
        assert len(bad.requests) == len(fine.requests) == 1

    async def test_nobody_listens_and_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_API_KEY")
        async with open_scripted_openai([]) as gone:
            pass
        good = [scripted.text("Hi"), scripted.finish()]
        async with open_scripted_openai([good]) as fine:
            parts, finish = await ask(
                FallbackModel(
                    OpenAIModel("k"),
                    OpenAIModel("m", base_url=gone.base_url),
                    OpenAIModel("n", base_url=fine.base_url),
                )
            )
        assert [part.code for part in parts if isinstance(part, SwitchPart)] == [
            "model-unavailable",
            "connect",
        ]
        assert finish.model == "n"

    async def test_a_provider_that_breaks_off_in_a_word(self) -> None:
        async with open_scripted_openai([[scripted.text("Hi"), scripted.cut()]]) as first:
            model = OpenAIModel("m", base_url=first.base_url)
            emitted = Emitted()
            with pytest.raises(ModelError, match="cut-stream"):
                await ask(FallbackModel(model, Named("b", ["no"])), emitted)
        assert emitted == [TextPart("Hi")]

    @pytest.mark.parametrize("at", ["the first", "the second"])
    async def test_cancelling_ends_the_work_at_whoever_is_asked(self, at: str) -> None:
        busy: list[scripted.Step] = [scripted.status(503)]
        hangs = [scripted.text("Hi"), scripted.hang()]
        script: list[scripted.Answer] = [[scripted.hang()]] if at == "the first" else [busy, hangs]
        async with open_scripted_openai(script) as server:
            model = OpenAIModel("m", base_url=server.base_url)
            emitted = Emitted()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, FallbackModel(model, model), emitted)
                if at == "the first":
                    while not server.requests:
                        await trio.testing.wait_all_tasks_blocked(0.001)
                else:
                    while len(emitted) < 2:
                        await trio.testing.wait_all_tasks_blocked(0.001)
                nursery.cancel_scope.cancel()
            await server.requests[-1].disconnected.wait()
        assert len(server.requests) == len(script)
