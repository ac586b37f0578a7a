"""What `logging` has to say on the command line."""

import logging
from argparse import ArgumentParser, ArgumentTypeError

import pytest

from trio_agent.servers.cli._logs import add_log_option, log_level, start_logging


@pytest.mark.parametrize(
    ("level", "ours", "others"),
    [
        ("debug", "diwe", "we"),
        ("INFO", "iwe", "we"),
        ("warning", "we", "we"),
        ("error", "e", "e"),
    ],
)
def test_levels(level: str, ours: str, others: str, capsys: pytest.CaptureFixture[str]) -> None:
    start_logging()
    start_logging(log_level(level))
    for name in ("trio_agent.servers", "httpx"):
        for said in ("debug", "info", "warning", "error"):
            getattr(logging.getLogger(name), said)("about %s", "it")
    lines = capsys.readouterr().err.splitlines()
    heard = [line.split()[:2] for line in lines]
    assert "".join(level[0].lower() for level, name in heard if name[:4] == "trio") == ours
    assert "".join(level[0].lower() for level, name in heard if name == "httpx:") == others
    assert lines[-1] == "ERROR httpx: about it"


def test_what_strangers_say_is_made_safe(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging()
    try:
        raise ValueError("bad \x1b]0;title\x07")
    except ValueError:
        logging.getLogger("trio_agent").exception("it \x9b31m failed")
    said = capsys.readouterr().err
    assert said.startswith("ERROR trio_agent: it 31m failed\nTraceback ")
    assert said.replace("\n", "").isprintable()


def test_what_can_not_be_formatted(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging()
    logging.getLogger("trio_agent").warning("%d is no number", "x")
    assert "Logging error" in capsys.readouterr().err


def test_option() -> None:
    parser = ArgumentParser()
    add_log_option(parser)
    assert parser.parse_args([]).log_level == logging.WARNING
    assert parser.parse_args(["--log-level", "debug"]).log_level == logging.DEBUG
    with pytest.raises(ArgumentTypeError, match="'loud' is not debug, info, warning, error"):
        log_level("loud")
