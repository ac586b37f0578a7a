"""Options that are given on the command line or in the environment."""

import pytest
from cli_kit import refused


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
