"""Options that are given on the command line or in the environment."""

import argparse

import pytest
from cli_kit import refused

from trio_agent.servers.cli._options import add_option, add_repeatable


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (["serve"], {"TRIO_AGENT_PORT": "x"}, "--port: 'x' is not a port"),
    ],
)
def test_wrong(
    arguments: list[str],
    env: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    said = refused(arguments, capsys)
    assert message in said
    assert said.count("\n") == 1


def parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(exit_on_error=False)


class TestOption:
    @pytest.mark.parametrize(
        ("arguments", "environment", "value"),
        [
            ([], None, 7),
            ([], "8", 8),
            (["--max-size", "9"], None, 9),
            (["--max-size", "9"], "8", 9),
            # What is empty is not set: so it can be unset where everything is inherited.
            ([], "", 7),
        ],
    )
    def test_the_nearest_wins(
        self,
        arguments: list[str],
        environment: str | None,
        value: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if environment is not None:
            monkeypatch.setenv("TRIO_AGENT_MAX_SIZE", environment)
        options = parser()
        add_option(options, "--max-size", type=int, default="7")
        assert options.parse_args(arguments).max_size == value

    def test_without_a_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        options = parser()
        add_option(options, "--size", type=int)
        assert options.parse_args([]).size is None
        monkeypatch.setenv("TRIO_AGENT_SIZE", "8")
        options = parser()
        add_option(options, "--size", type=int)
        assert options.parse_args([]).size == 8

    def test_the_environment_gives_what_is_required(self, monkeypatch: pytest.MonkeyPatch) -> None:
        options = parser()
        add_option(options, "--size", required=True)
        assert options._option_string_actions["--size"].required
        monkeypatch.setenv("TRIO_AGENT_SIZE", "8")
        options = parser()
        add_option(options, "--size", required=True)
        assert options.parse_args([]).size == "8"


class TestRepeatable:
    @pytest.mark.parametrize(
        ("arguments", "environment", "values"),
        [
            ([], None, []),
            ([], "", []),
            ([], " a  b ", ["a", "b"]),
            (["--name", "c", "--name", "d e"], None, ["c", "d e"]),
            (["--name", "c"], "a b", ["a", "b", "c"]),
        ],
    )
    def test_all_are_taken(
        self,
        arguments: list[str],
        environment: str | None,
        values: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if environment is not None:
            monkeypatch.setenv("TRIO_AGENT_NAME", environment)
        options = parser()
        add_repeatable(options, "--name")
        for _ in range(2):  # one parse leaves nothing to the next
            assert options.parse_args(arguments).name == values
