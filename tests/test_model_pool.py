import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from trio_agent._errors import ModelError, StoreUnavailable
from trio_agent._model import Emit, Model
from trio_agent._model_pool import ModelPool
from trio_agent._parts import ModelFinish, ModelRequest


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
        finally:
            self.closed += 1


async def test_a_model_that_needs_no_opening() -> None:
    model = Opened()
    async with trio.open_nursery() as nursery:
        pool = ModelPool(nursery)
        with trio.testing.assert_checkpoints():
            assert await pool.get(model) is model
        nursery.cancel_scope.cancel()


async def test_opened_once_for_all_and_closed_at_the_end() -> None:
    model = Openable()
    got: list[Model] = []
    async with trio.open_nursery() as keepers:
        pool = ModelPool(keepers)

        async def get() -> None:
            got.append(await pool.get(model))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(get)
            await trio.testing.wait_all_tasks_blocked()
            assert got == []
            model.go_on.set()
        assert len(set(map(id, got))) == 1
        assert (model.opened, model.closed) == (1, 0)
        keepers.cancel_scope.cancel()
    assert model.closed == 1


async def test_who_is_cancelled_while_opening_leaves_it_to_the_next() -> None:
    model = Openable()
    async with trio.open_nursery() as keepers:
        pool = ModelPool(keepers)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.get, model)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        model.go_on.set()
        assert isinstance(await pool.get(model), Opened)
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
            await pool.get(model)
        assert caught.value.__cause__ is failure
        model.failure = None
        assert isinstance(await pool.get(model), Opened)
        keepers.cancel_scope.cancel()


async def test_a_bug_in_opening_is_no_model_error() -> None:
    model = Openable()
    model.go_on.set()
    model.failure = KeyError("bug")
    async with trio.open_nursery() as keepers:
        with pytest.raises(KeyError):
            await ModelPool(keepers).get(model)


async def test_a_model_that_breaks_down_is_opened_anew(caplog: pytest.LogCaptureFixture) -> None:
    model = Openable()
    model.go_on.set()
    async with trio.open_nursery() as keepers:
        pool = ModelPool(keepers)
        first = await pool.get(model)
        with caplog.at_level(logging.ERROR):
            model.broken.set()
            await trio.testing.wait_all_tasks_blocked()
        assert "broke down" in caplog.text
        model.broken = trio.Event()
        assert await pool.get(model) is not first
        assert model.opened == 2
        keepers.cancel_scope.cancel()
