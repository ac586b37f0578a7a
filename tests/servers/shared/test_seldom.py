"""What happens often is logged seldom."""

import pytest

from trio_agent.servers._shared.seldom import Seldom


def test_once_in_a_while_with_a_count(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("trio_agent.servers._shared.seldom.monotonic", lambda: now)
    seldom, other = Seldom(5), Seldom(5)
    for _ in range(4):
        seldom.warn("%s is full", "it")
    other.warn("another thing")
    assert caplog.messages == ["it is full", "another thing"]
    now += 4.9
    seldom.warn("%s is full", "it")
    assert len(caplog.messages) == 2
    now += 0.1
    seldom.warn("%s is full", "it")
    assert caplog.messages[2:] == ["it is full (and 4 times before)"]
    now += 5
    seldom.warn("%s is full", "it")
    assert caplog.messages[3:] == ["it is full"]
