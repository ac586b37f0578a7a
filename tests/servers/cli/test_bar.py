"""How far a batch is, on a terminal and elsewhere."""

import pytest
import trio
from trio.testing import MockClock

from trio_agent.servers.cli._bar import Bar


async def count(bar: Bar, steps: int, *, pace: float = 1, failed: bool = False) -> None:
    bar.show()
    for _ in range(steps):
        await trio.sleep(pace)
        bar.step(failed=failed)


@pytest.mark.parametrize(
    ("total", "before", "shown"),
    [(50, 0, list(range(0, 51, 5))), (50, 17, list(range(20, 51, 5))), (3, 0, [0, 1, 2, 3])],
)
async def test_every_tenth(
    total: int,
    before: int,
    shown: list[int],
    autojump_clock: MockClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await count(Bar(total, before, 0), total - before)
    said = capsys.readouterr().err.splitlines()
    assert [int(line.partition("/")[0]) for line in said] == shown


async def test_on_a_terminal(
    autojump_clock: MockClock,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    await count(Bar(2, 0, 0), 2, failed=True)
    half = "#" * 12
    assert capsys.readouterr().err.split("\r")[1:] == [
        f"[{'':24}] 0/2, 0 failed\x1b[K",
        f"[{half:24}] 1/2, 1 failed, 1.0/s, 1 s left\x1b[K",
        f"[{half}{half}] 2/2, 2 failed, 1.0/s\x1b[K\n",
    ]


@pytest.mark.parametrize(
    ("pace", "left"), [(0.1, "1 s"), (5, "50 s"), (6, "1 min 0 s"), (1000, "2 h 46 min")]
)
async def test_what_is_left(
    pace: float, left: str, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done before came at no time, and says nothing about the rest."""
    await count(Bar(20, 9, 3), 1, pace=pace)
    assert capsys.readouterr().err == f"10/20, 3 failed, {1 / pace:.1f}/s, {left} left\n"


async def test_nothing_to_do(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    Bar(0, 0, 0).show()
    assert capsys.readouterr().err == "0/0, 0 failed\n"
