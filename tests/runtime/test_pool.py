"""Models and sources that are open while somebody uses them, and a while longer."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
import trio
import trio.testing

from trio_agent._errors import ModelError, StoreUnavailable, ToolSourceError
from trio_agent._runtime.pool import ModelPool, Pool, SourcePool
from trio_agent.models._model import Emit, Model
from trio_agent.models._parts import ModelFinish, ModelRequest
from trio_agent.tools._contract import Tool
from trio_agent.tools._source import OpenTools, ToolSource


class Opened(Model):
    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        raise NotImplementedError


class Openable(Opened):
    def __init__(self) -> None:
        self.go_on = trio.Event()
        self.broken = trio.Event()
        self.failure: Exception | None = None
        self.opened = 0
        self.closed = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Model]:
        self.opened += 1
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure

        async def break_down() -> None:
            await self.broken.wait()
            raise RuntimeError("the connection is gone")

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(break_down)
                yield Opened()
                nursery.cancel_scope.cancel()
        finally:
            self.closed += 1


async def test_a_model_that_needs_no_opening() -> None:
    model = Opened()
    async with trio.open_nursery() as keepers:
        pool = ModelPool(keepers)
        with trio.testing.assert_checkpoints():
            async with pool.use(model) as open_model:
                assert open_model is model
        keepers.cancel_scope.cancel()


async def test_opened_once_for_all_and_closed_at_the_end() -> None:
    model = Openable()
    got: list[Model] = []
    async with trio.open_nursery() as keepers:
        pool = ModelPool(keepers)

        async def use() -> None:
            async with pool.use(model) as open_model:
                got.append(open_model)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(use)
            await trio.testing.wait_all_tasks_blocked()
            assert got == []
            model.go_on.set()
        assert len(set(map(id, got))) == 1
        assert (model.opened, model.closed) == (1, 0)
        keepers.cancel_scope.cancel()
    assert model.closed == 1


asked_by = ContextVar("asked_by", default="nobody")


async def test_a_model_inherits_nothing_from_who_asks_it_first() -> None:
    seen: list[str] = []

    class Curious(Opened):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[Model]:
            async def serve(task_status: trio.TaskStatus[None]) -> None:
                seen.append(asked_by.get())
                task_status.started()

            async with trio.open_nursery() as nursery:
                seen.append(asked_by.get())
                await nursery.start(serve)
                yield self

    async with trio.open_nursery() as keepers:
        asked_by.set("the opener")
        pool = ModelPool(keepers)
        asked_by.set("the first run")
        async with pool.use(Curious()):
            await trio.testing.wait_all_tasks_blocked()
        keepers.cancel_scope.cancel()
    assert seen == ["the opener"] * 2


async def test_who_leaves_while_it_is_opened_for_others_does_not_stop_it() -> None:
    model = Openable()
    async with trio.open_nursery() as keepers:
        pool = ModelPool(keepers)
        got: list[Model] = []

        async def use() -> None:
            async with pool.use(model) as open_model:
                got.append(open_model)

        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as first:
                first.start_soon(use)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(use)
                await trio.testing.wait_all_tasks_blocked()
                first.cancel_scope.cancel()
            model.go_on.set()
        assert (len(got), model.opened) == (1, 1)
        keepers.cancel_scope.cancel()


async def test_closed_when_nobody_has_used_it_for_a_while(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = Openable()
    model.go_on.set()
    async with trio.open_nursery() as keepers:
        pool = ModelPool(keepers)
        async with pool.use(model) as first:
            await trio.sleep(1000)
        await trio.sleep(50)
        async with pool.use(model) as again:
            assert again is first
        async with pool.use(model), pool.use(model):
            await trio.sleep(1000)
        await trio.sleep(59)
        assert (model.opened, model.closed) == (1, 0)
        await trio.sleep(2)
        assert (model.opened, model.closed) == (1, 1)
        async with pool.use(model) as second:
            assert second is not first
        assert (model.opened, model.closed) == (2, 1)
        keepers.cancel_scope.cancel()


async def test_used_again_while_it_is_being_closed(mock_clock: trio.testing.MockClock) -> None:
    """Whose deadline has passed is not used any more, even if it is not closed yet."""
    model = Openable()
    model.go_on.set()
    async with trio.open_nursery() as keepers:
        pool = ModelPool(keepers)
        async with pool.use(model) as first:
            pass
        mock_clock.jump(60)
        async with pool.use(model) as second:
            assert second is not first
            await trio.testing.wait_all_tasks_blocked()
            assert (model.opened, model.closed) == (2, 1)
            async with pool.use(model) as third:
                assert third is second
        keepers.cancel_scope.cancel()


async def test_who_is_cancelled_while_opening_leaves_it_to_the_next() -> None:
    model = Openable()
    async with trio.open_nursery() as keepers:
        pool = ModelPool(keepers)

        async def use() -> None:
            async with pool.use(model):
                pytest.fail("it is not open")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        model.go_on.set()
        async with pool.use(model) as open_model:
            assert isinstance(open_model, Opened)
        assert model.opened == 2
        keepers.cancel_scope.cancel()


@pytest.mark.parametrize(
    "failure", [StoreUnavailable("x"), ValueError("no key is set"), OSError("no route")]
)
async def test_a_model_that_can_not_be_opened(failure: Exception) -> None:
    model = Openable()
    model.go_on.set()
    model.failure = failure
    async with trio.open_nursery() as keepers:
        pool = ModelPool(keepers)
        with pytest.raises(ModelError, match=f"model-unavailable: {failure}") as caught:
            async with pool.use(model):
                pytest.fail("it is not open")
        assert caught.value.__cause__ is failure
        model.failure = None
        async with pool.use(model) as open_model:
            assert isinstance(open_model, Opened)
        keepers.cancel_scope.cancel()


async def test_a_bug_in_opening_is_no_model_error() -> None:
    model = Openable()
    model.go_on.set()
    model.failure = KeyError("bug")
    async with trio.open_nursery() as keepers:
        with pytest.raises(KeyError):
            async with ModelPool(keepers).use(model):
                pytest.fail("it is not open")


async def test_a_model_that_breaks_down_is_opened_anew(caplog: pytest.LogCaptureFixture) -> None:
    model = Openable()
    model.go_on.set()
    async with trio.open_nursery() as keepers:
        pool = ModelPool(keepers)
        async with pool.use(model) as first:
            with caplog.at_level(logging.ERROR):
                model.broken.set()
                await trio.testing.wait_all_tasks_blocked()
            assert "broke down" in caplog.text
            model.broken = trio.Event()
            # One run holds the broken one still, the next gets a new one.
            async with pool.use(model) as second:
                assert second is not first
        async with pool.use(model) as third:
            assert third is second
        assert model.opened == 2
        keepers.cancel_scope.cancel()


class Source(ToolSource):
    """A source that is opened as the test says."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.opened = 0

    def fingerprint(self) -> str:
        return "source"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenTools]:
        self.opened += 1
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        yield NoTools()


class NoTools(OpenTools):
    async def list_tools(self) -> Sequence[Tool[Any]]:
        return []


@pytest.mark.parametrize(
    "failure",
    [
        ToolSourceError("no such server"),
        ExceptionGroup("of a nursery", [ToolSourceError("no such server")]),
        ExceptionGroup("", [ExceptionGroup("", [ToolSourceError("no such server")])]),
    ],
)
async def test_a_source_that_can_not_be_opened(failure: Exception) -> None:
    """All who wait for it are told, each by an exception of its own."""
    source = Source(failure)
    told: list[ToolSourceError] = []
    async with trio.open_nursery() as keepers:
        pool = SourcePool(keepers)

        async def use() -> None:
            with pytest.raises(ToolSourceError, match="no such server") as caught:
                async with pool.use(source):
                    pytest.fail("it is not open")
            told.append(caught.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            nursery.start_soon(use)
        assert len(set(map(id, told))) == 2
        assert source.opened == 1
        source.failure = None
        async with pool.use(source) as tools:
            assert isinstance(tools, NoTools)
        keepers.cancel_scope.cancel()


async def test_a_bug_in_opening_a_source_is_no_trouble_of_the_source() -> None:
    async with trio.open_nursery() as keepers:
        with pytest.raises(KeyError):
            async with SourcePool(keepers).use(Source(KeyError("bug"))):
                pytest.fail("it is not open")


@pytest.mark.parametrize("kind", [ModelPool, SourcePool])
@pytest.mark.parametrize("grouped", [False, True])
async def test_what_exits_while_it_is_opened_ends_its_users_only(
    kind: type[Pool[Any, Any]], grouped: bool
) -> None:
    class Exits:
        @asynccontextmanager
        async def open(self) -> AsyncIterator[None]:
            if grouped:
                async with trio.open_nursery():
                    raise SystemExit(1)
            raise SystemExit(1)
            yield

    async with trio.open_nursery() as keepers:
        with pytest.raises(SystemExit):
            async with kind(keepers).use(Exits()):
                pytest.fail("it is not open")
        assert not keepers.child_tasks


async def test_what_fails_to_close_at_the_end_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In a nursery, too, where it comes together with the cancellation."""

    class Sore(Opened):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[Model]:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                try:
                    yield self
                finally:
                    raise OSError("it can't be closed")

    async with trio.open_nursery() as keepers:
        async with ModelPool(keepers).use(Sore()):
            pass
        keepers.cancel_scope.cancel()
    assert "it can't be closed" in caplog.text
