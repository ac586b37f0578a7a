"""What the terminal shows of a download."""

import io
import os

import pytest

from trio_agent.local._progress import Progress, no_progress, show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines() -> None:
    file = io.StringIO()
    show = show_progress(file)
    for done in (0, 1, 99, 100, 109, 1000):
        show(Progress("downloading x", done * 1_000_000, 1_000_000_000))
    assert file.getvalue().splitlines() == [
        "downloading x (1000 MB): 0 %",
        "downloading x (1000 MB): 10 %",
        "downloading x (1000 MB): 100 %",
    ]


def test_bar() -> None:
    file = Terminal()
    show = show_progress(file)
    for done in (0, 500, 501, 1000):
        show(Progress("downloading x", done * 1000, 1_000_000))
    first, middle, last = file.getvalue().split("\r")[1:]
    assert first == f"downloading x (1 MB) [{' ' * 20}]   0 %"
    assert middle == f"downloading x (1 MB) [{'#' * 10}{' ' * 10}]  50 %"
    assert last == f"downloading x (1 MB) [{'#' * 20}] 100 %\n"


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    no_progress(Progress("a", 0, 1))
    show_progress()(Progress("b", 0, 1))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "b (0 MB): 0 %\n"


def test_reader_that_is_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb", buffering=0) as raw:
        show = show_progress(io.TextIOWrapper(raw, write_through=True))
        for done in (0, 1):
            show(Progress("downloading x", done, 1))
