"""Trouble is told, and not too often."""

import pytest
import trio
import trio.testing

from trio_agent._errors import StoreUnavailable
from trio_agent._log.trouble import Trouble


@pytest.mark.parametrize(
    ("failure", "level", "words"),
    [
        (StoreUnavailable("away"), "WARNING", "it failed for a and b: away"),
        (KeyError("x"), "ERROR", "it failed for a and b: a bug"),
    ],
)
async def test_trouble_is_told_at_once_and_then_once_a_minute(
    failure: Exception,
    level: str,
    words: str,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.testing.MockClock,
) -> None:
    trouble = Trouble("it failed for %s and %s")
    trouble.tell(failure, "a", "b")
    trouble.tell(OSError("another kind"), "c", "d")
    for _ in range(59):
        await trio.sleep(1)
        trouble.tell(failure, "e", "f")
    assert [record.message for record in caplog.records] == [words, "it failed for c and d: a bug"]
    assert caplog.records[0].levelname == level
    assert bool(caplog.records[0].exc_info) == (level == "ERROR")
    await trio.sleep(1)
    trouble.tell(failure, "a", "b")
    assert len(caplog.records) == 3
