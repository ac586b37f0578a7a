"""From the texts of a command line to values."""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable

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
        (
            ["serve", "--retention", "-1"],
            "not a number of seconds, days (7d) or hours (12h), or inf",
        ),
        (["serve", "--retention", "nan"], "not a number of seconds, days"),
        (["serve", "--retention-owner-bytes", "0"], "not a size such as 64MiB"),
        (["serve", "--heartbeat", "0"], "'0' is not a number of seconds greater than 0"),
        (["serve", "--keep-alive", "inf"], "not a number of seconds greater than 0"),
        (["serve", "--max-body", "1"], "not a size such as 64MiB"),
        (["serve", "--max-connections", "0"], "'0' is not a whole number from 1"),
        (["serve", "--root-path", "agents"], "'agents' is not a path that begins with a slash"),
        (["serve", "--max-streams", "0"], "'0' is not a whole number from 1"),
        (["serve", "--max-log-bytes", "1"], "not a size such as 64MiB"),
        (["serve", "--max-log-bytes", "1TiB"], "not a size such as 64MiB"),
        (["chat", "--url", "nonsense"], "--url: that is no URL such as http://127.0.0.1:8000"),
        (["demo", "--base-url", "ws://h/v1"], "--base-url: that is no URL such as https://host/v1"),
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
        ("1K", 1024),
        ("2m", 2 << 20),
        ("10G", 10 << 30),
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


@pytest.mark.parametrize(
    ("convert", "text_", "value"),
    [
        (_converters.port, "0", 0),
        (_converters.port, "65535", 65535),
        (_converters.seconds, "0", 0.0),
        (_converters.seconds, "1e3", 1000.0),
        (_converters.age, "7", 7.0),
        (_converters.age, "7d", 604_800.0),
        (_converters.age, "0.5h", 1800.0),
        (_converters.age, "inf", math.inf),
        (_converters.age, "Inf", math.inf),
        (_converters.interval, "0.5", 0.5),
        (_converters.path, "/agents", "/agents"),
        (_converters.path, "/a/b/", "/a/b"),
        (_converters.path, "/", ""),
        (_converters.path, "", ""),
        (_converters.lease, "1", 1.0),
        (_converters.count, "1", 1),
        (_converters.policy, "0", CancelAfter(0.0)),
    ],
)
def test_values_at_the_bounds(convert: Callable[[str], object], text_: str, value: object) -> None:
    assert convert(text_) == value


@pytest.mark.parametrize(
    ("convert", "text_", "message"),
    [
        (_converters.port, "", "'' is not a port, 0 to 65535"),
        (_converters.port, "8000.0", "'8000.0' is not a port, 0 to 65535"),
        (_converters.seconds, "", "'' is not a number of seconds"),
        (_converters.seconds, "-0.1", "'-0.1' is not a number of seconds"),
        *(
            (
                _converters.age,
                text_,
                f"{text_!r} is not a number of seconds, days (7d) or hours (12h), or inf",
            )
            for text_ in ("", "d", "7dd", "7w", "infd", "-1h")
        ),
        (_converters.lease, "0.99", "'0.99' is not a number of seconds, 1 at least"),
        (_converters.lease, "x", "'x' is not a number of seconds, 1 at least"),
        (_converters.count, "-1", "'-1' is not a whole number from 1"),
        (_converters.count, "1.5", "'1.5' is not a whole number from 1"),
        (_converters.size, "1023", "'1023' is not a size such as 64MiB, 1024 bytes at least"),
        (_converters.size, "MiB", "'MiB' is not a size such as 64MiB, 1024 bytes at least"),
        (_converters.size, "1.5MiB", "'1.5MiB' is not a size such as 64MiB, 1024 bytes at least"),
        (_converters.size, "64MB", "'64MB' is not a size such as 64MiB, 1024 bytes at least"),
        (_converters.policy, "-1", "'-1' is not continue, cancel or a number of seconds"),
        (_converters.policy, "", "'' is not continue, cancel or a number of seconds"),
    ],
)
def test_texts_that_are_none(convert: Callable[[str], object], text_: str, message: str) -> None:
    """The message names what was given, and what is taken."""
    with pytest.raises(ArgumentTypeError) as caught:
        convert(text_)
    assert str(caught.value) == message


@pytest.mark.parametrize("convert", [_converters.endpoint_url, _converters.server_url])
@pytest.mark.parametrize(
    ("text_", "good"),
    [
        ("http://127.0.0.1:8000", True),
        ("https://[::1]:8/v1", True),
        ("HTTPS://Host/v1?a=b", True),
        ("", False),
        ("host:8000", False),
        ("localhost", False),
        ("http://", False),
        ("http:///v1", False),
        ("http://[::1", False),
        ("http://h:99999", False),
        ("http://h:x", False),
        ("http://h:0", False),
        ("ftp://me:secret@h", False),
    ],
)
def test_urls(convert: Callable[[str], str], text_: str, good: bool) -> None:
    if good:
        assert convert(text_) == text_
        return
    with pytest.raises(ArgumentTypeError, match=r"^that is no URL such as http") as caught:
        convert(text_)
    assert "secret" not in str(caught.value)
