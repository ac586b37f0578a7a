"""The command: its help, how it ends, and how it says what is wrong."""

import argparse

import pytest
from cli_kit import refused

from trio_agent.servers.cli import _commands, _main as _cli


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


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("serve", "demo", "chat"):
        with pytest.raises(SystemExit) as caught:
            _cli.main([command, "--help"])
        assert caught.value.code == 0
        assert "--model" in capsys.readouterr().out


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(_commands, "run_demo", interrupted)
    with pytest.raises(SystemExit) as caught:
        _cli.main(["demo"])
    assert caught.value.code == 130
