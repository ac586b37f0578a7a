"""From the texts of a command line to values."""

import pytest
from cli_kit import refused

from trio_agent import CancelAfter
from trio_agent.servers.cli import _converters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "--port", "x"], "--port: 'x' is not a port, 0 to 65535"),
        (["serve", "--port", "65536"], "not a port"),
        (["serve", "--port", "-1"], "not a port"),
        (["serve", "--grace", "soon"], "'soon' is not a number of seconds"),
        (["serve", "--lease", "0.5"], "'0.5' is not a number of seconds, 1 at least"),
        (["serve", "--grace", "inf"], "not a number of seconds"),
        (["serve", "--grace", "nan"], "not a number of seconds"),
        (["serve", "--retention", "-1"], "not a number of seconds"),
        (["serve", "--max-streams", "0"], "'0' is not a whole number from 1"),
        (["serve", "--max-log-bytes", "1"], "not a size such as 64MiB"),
        (["serve", "--max-log-bytes", "1TiB"], "not a size such as 64MiB"),
        (["serve", "--on-disconnect", "maybe"], "continue, cancel or a number of seconds"),
    ],
)
def test_wrong(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(arguments, capsys)
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("text_", "size"),
    [
        ("1024", 1024),
        ("1KiB", 1024),
        ("64MiB", 64 << 20),
        ("2gib", 2 << 30),
    ],
)
def test_sizes(text_: str, size: int) -> None:
    assert _converters.size(text_) == size


@pytest.mark.parametrize(
    ("text_", "policy"),
    [("continue", "continue"), ("cancel", "cancel"), ("2.5", CancelAfter(2.5))],
)
def test_policies(text_: str, policy: object) -> None:
    assert _converters.policy(text_) == policy
