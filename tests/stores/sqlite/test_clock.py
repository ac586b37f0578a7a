"""The clock of retention: nobody sets it forward or back."""

import importlib
import time
from collections.abc import Iterator

import pytest

from trio_agent.stores.sqlite import _clock as clock


@pytest.fixture
def reloaded() -> Iterator[None]:
    yield
    importlib.reload(clock)


def test_it_is_unix_time() -> None:
    assert abs(clock.now() - time.time()) < 60
    before = clock.now()
    assert before <= clock.now() <= before + 60


@pytest.mark.parametrize("jump", [86_400, -86_400])
def test_it_does_not_jump(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = clock.now(), time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    assert 0 <= clock.now() - before < 60


def test_where_nothing_counts_sleep(monkeypatch: pytest.MonkeyPatch, reloaded: None) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    importlib.reload(clock)
    assert abs(clock.now() - time.time()) < 60
