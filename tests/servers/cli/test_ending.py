"""How a command ends: its status, and what it says."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from process_kit import environment

from trio_agent import ModelError, SQLiteStore, StoreUnavailable, UnknownRun
from trio_agent.abc import RunRecord
from trio_agent.client import ServerError
from trio_agent.local import LocalModelUnavailable
from trio_agent.servers.cli._ending import status_of
from trio_agent.servers.cli._usage import UsageError


def raising(exc: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise exc

    return command


@pytest.mark.parametrize("status", [0, 1])
def test_the_status_is_the_commands(status: int) -> None:
    assert status_of(lambda: status) == status


@pytest.mark.parametrize(
    ("exc", "sentence"),
    [
        (UsageError("do this"), "do this"),
        (LocalModelUnavailable("do this"), "do this"),
        (StoreUnavailable("do this"), "do this"),
        (ModelError("auth", "no"), "auth: no"),
        (ServerError(500, "odd", "no\x1b[31m"), "odd: no [31m"),
        (UnknownRun("r"), "there is no run 'r'"),
        (trio.BrokenResourceError("it is gone"), "it is gone"),
        (trio.BrokenResourceError(), "BrokenResourceError"),
        (FileNotFoundError(2, "No such file", "/x"), "/x: No such file"),
        (OSError(24, "Too many open files"), "Too many open files"),
        (ImportError("install socksio"), "install socksio"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("depth", [0, 2])
def test_what_the_world_does_is_one_line(
    exc: Exception, sentence: str, depth: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(depth):
        exc = ExceptionGroup("of a nursery", [exc])
    assert status_of(raising(exc)) == 2
    assert capsys.readouterr().err == f"trio-agent: error: {sentence}\n"


@pytest.mark.parametrize("others", [[], [UsageError("x")], [ZeroDivisionError()]], ids=repr)
@pytest.mark.parametrize(
    ("exc", "status"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141)], ids=["^C", "pipe"]
)
def test_quiet_ends(
    exc: BaseException,
    status: int,
    others: list[Exception],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status_of(raising(exc)) == status
    assert status_of(raising(BaseExceptionGroup("of a nursery", [*others, exc]))) == status
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "bug", [ZeroDivisionError(), ExceptionGroup("of a nursery", [ZeroDivisionError()])]
)
def test_a_bug_is_not_hidden(bug: Exception) -> None:
    with pytest.raises(type(bug)) as caught:
        status_of(raising(bug))
    assert caught.value is bug


class TestOutput:
    """As real processes."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> str:
        async def fill() -> None:
            store = SQLiteStore(tmp_path / "runs.db")
            async with store.open():
                # More than a pipe or a buffer holds.
                for number in range(1500):
                    await store.create(RunRecord(f"{number:032}", "e", "a\U0001f600", 0))

        trio.run(fill)
        return f"sqlite:{tmp_path / 'runs.db'}"

    def run(self, redirection: str, store: str, **env: str) -> "subprocess.CompletedProcess[str]":
        line = f"exec {sys.executable} -m trio_agent runs --store {store} {redirection}"
        return subprocess.run(
            ["bash", "-c", line],
            env=environment(**env),
            capture_output=True,
            text=True,
            check=False,
        )

    def test_reader_that_leaves(self, store: str) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "trio_agent", "runs", "--store", store]
        done = subprocess.run(
            command, env=environment(), stdout=writing, stderr=subprocess.PIPE, check=False
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, b"")

    @pytest.mark.parametrize(
        ("redirection", "status", "err"),
        [
            (">/dev/full", 2, "trio-agent: error: No space left on device\n"),
            ("<&- >&- 2>&-", 0, ""),
        ],
        ids=["full disk", "all closed"],
    )
    def test_elsewhere(self, redirection: str, status: int, err: str, store: str) -> None:
        done = self.run(redirection, store)
        assert (done.returncode, done.stdout, done.stderr) == (status, "", err)

    def test_characters_that_it_does_not_have(self, store: str) -> None:
        done = self.run("", store, PYTHONIOENCODING="ascii")
        assert done.stderr == ""
        assert done.stdout.count("\ta\\U0001f600\t") == 1500
