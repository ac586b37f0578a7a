"""Options that are given on the command line or in the environment."""

import argparse

import pytest
from cli_kit import refused

from trio_agent.servers.cli._options import add_option, add_repeatable


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (["serve", "--port", "x"], {}, "argument --port: 'x' is not a port, 0 to 65535"),
        (["serve"], {"TRIO_AGENT_PORT": "x"}, "error: TRIO_AGENT_PORT: 'x' is not a port"),
        (["serve", "--port", "y"], {"TRIO_AGENT_PORT": "x"}, "argument --port: 'y' is not"),
        (["chat"], {"TRIO_AGENT_LOG_LEVEL": "loud"}, "TRIO_AGENT_LOG_LEVEL: 'loud' is not"),
        (["chat"], {"TRIO_AGENT_GGUF": "/no"}, "there is no file '/no' (TRIO_AGENT_GGUF)"),
        (["runs"], {"TRIO_AGENT_STORE": "postgres://me:secret@h"}, "TRIO_AGENT_STORE takes"),
        (["runs"], {"TRIO_AGENT_STORE": "valkey://me:secret@"}, "TRIO_AGENT_STORE: the URL"),
        (["runs"], {"TRIO_AGENT_STORE": "sqlite::memory:"}, "TRIO_AGENT_STORE: "),
        (["serve"], {"TRIO_AGENT_AGENT": "math:pi nope"}, "TRIO_AGENT_AGENT math:pi: "),
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
    assert "secret" not in said


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

    def test_a_value_is_plain_text_whereever_it_is_from(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TRIO_AGENT_NAME", "a")
        options = parser()
        add_option(options, "--name")
        assert type(options.parse_args([]).name) is str


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
