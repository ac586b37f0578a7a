"""The command: its help, how it ends, and how it says what is wrong."""

import argparse
import logging
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_kit import refused
from process_kit import environment

from trio_agent import __version__
from trio_agent.servers.cli import _commands, _main as _cli
from trio_agent.servers.cli._usage import UsageError

SCRIPT = str(Path(sysconfig.get_path("scripts"), "trio-agent"))


def ending(action: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> object:
    """Run a command that does this, and return the status of the process."""
    monkeypatch.setattr(_commands, "run_demo", lambda options: action())
    with pytest.raises(SystemExit) as caught:
        _cli.main(["demo"])
    return caught.value.code


def raising(exc: BaseException) -> Callable[[], int]:
    def action() -> int:
        raise exc

    return action


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["serve", "--fly"], "unrecognized arguments: --fly"),
    ],
)
def test_wrong(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(arguments, capsys)
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        [SCRIPT],
        [sys.executable, "-m", "trio_agent"],
        [sys.executable, "-m", "trio_agent.servers"],
    ],
    ids=["script", "trio_agent", "servers"],
)
def test_version(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*command, "--version"],
        cwd=tmp_path,
        env=environment(PYTHONWARNINGS="error"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"trio-agent {__version__}\n", "")


class TestHelp:
    @pytest.fixture(autouse=True)
    def plain(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is set, and no line is broken."""
        for name in [name for name in os.environ if name.startswith("TRIO_AGENT_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("COLUMNS", "1000")

    def test_help(self, capsys: pytest.CaptureFixture[str]) -> None:
        for command in ("serve", "demo", "chat"):
            with pytest.raises(SystemExit) as caught:
                _cli.main([command, "--help"])
            assert caught.value.code == 0
            assert "--model" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("command", "option", "default"),
        [
            ("serve", "--host", "127.0.0.1"),
            ("serve", "--port", "8000"),
            ("serve", "--ws-port", "not at all"),
            ("serve", "--on-disconnect", "continue"),
            ("serve", "--max-streams", "1000"),
            ("serve", "--max-log-bytes", "64MiB"),
            ("serve", "--grace", "10"),
            ("serve", "--retention", "300 in memory, else inf; threads: inf"),
            ("serve", "--retention-bytes", "1GiB in memory, else all"),
            ("serve", "--retention-owner-bytes", "all"),
            ("serve", "--store-patience", "5"),
            ("serve", "--lease", "10"),
            ("serve", "--store", "memory"),
            ("serve", "--agent", "one called 'default'"),
            ("serve", "--model", "OPENAI_MODEL, or else gpt-4o-mini"),
            (
                "serve",
                "--base-url",
                "OPENAI_BASE_URL, or else https://api.openai.com/v1 with a key",
            ),
            ("chat", "--url", "one is started"),
            ("chat", "--thread", "a new one"),
            ("chat", "--store", "memory"),
            ("chat", "--agent", "one called 'default'"),
            ("threads", "--owner", "of nobody"),
            ("runs", "--owner", "of all; with --thread of nobody"),
            ("chat", "--model", "OPENAI_MODEL, or else gpt-4o-mini"),
            ("batch", "--concurrency", "8"),
            ("batch", "--store", "memory"),
        ],
    )
    def test_defaults_are_shown(
        self, command: str, option: str, default: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            _cli.main([command, "--help"])
        # What is too long for its column goes on in the next line.
        text = re.sub(r"\n {10,}", " ", capsys.readouterr().out)
        [line] = re.findall(rf"^  {option} .*", text, re.MULTILINE)
        assert f"(default: {default})" in line

    def test_those_that_are_shown_are_those_that_are_used(self) -> None:
        [commands] = [
            action.choices
            for action in _cli._parser()._actions
            if isinstance(action, argparse._SubParsersAction)
        ]
        checked = 0
        for parser in commands.values():
            for action in parser._actions:
                if isinstance(action.default, str) and action.default != argparse.SUPPRESS:
                    assert f"(default: {action.default})" in str(action.help), action.dest
                    checked += 1
        assert checked >= 10


class TestCompletion:
    def complete(self, line: str, folder: Path) -> list[str]:
        """Ask as a shell does."""
        pytest.importorskip("argcomplete", reason="the extra `completion` is not installed")
        asked = {
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / "completions"),
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
        }
        done = subprocess.run(
            [SCRIPT], env=environment(**asked), capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.stderr) == ("", "")
        return (folder / "completions").read_text().split()

    @pytest.mark.parametrize(
        ("line", "completions"),
        [
            ("trio-agent se", ["serve"]),
            ("trio-agent s", ["serve", "show", "say"]),
            ("trio-agent chat --b", ["--base-url"]),
            ("trio-agent fly", []),
        ],
    )
    def test_installed(self, line: str, completions: list[str], tmp_path: Path) -> None:
        assert self.complete(line, tmp_path) == completions

    def test_not_installed(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Such as where another program's completion has set the variable."""
        monkeypatch.setenv("_ARGCOMPLETE", "1")
        monkeypatch.setitem(sys.modules, "argcomplete", None)
        with pytest.raises(SystemExit) as caught:
            _cli.main(["--version"])
        assert caught.value.code == 0
        assert capsys.readouterr().out == f"trio-agent {__version__}\n"
        assert "invalid choice" in refused(["fly"], capsys)


class TestEnd:
    @pytest.mark.parametrize("status", [0, 1])
    def test_the_status_is_the_commands(self, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
        assert ending(lambda: status, monkeypatch) == status

    @pytest.mark.parametrize(
        ("exc", "status", "said"),
        [
            (UsageError("do this"), 2, "trio-agent: error: do this\n"),
            (KeyboardInterrupt(), 130, ""),
        ],
    )
    def test_it_is_that_of_the_ending(
        self,
        exc: BaseException,
        status: int,
        said: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert ending(raising(exc), monkeypatch) == status
        assert capsys.readouterr().err == said

    def test_of_a_bug(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ZeroDivisionError):
            ending(raising(ZeroDivisionError()), monkeypatch)

    @pytest.mark.parametrize("level", ["debug", "error"])
    def test_what_is_logged(self, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
        levels: list[int] = []
        monkeypatch.setattr(_cli, "start_logging", lambda level=0: levels.append(level))
        monkeypatch.setattr(_commands, "run_demo", lambda options: 0)
        with pytest.raises(SystemExit):
            _cli.main(["demo", "--log-level", level])
        assert levels == [0, getattr(logging, level.upper())]
