"""What holds for a whole test run: what is done before it, and what is said at its end."""

import logging
import os
import signal
from collections.abc import Iterator

import page_kit
import pytest
from hypothesis import HealthCheck, settings

# How busy the machine is decides nothing.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


LONG = {"system", "cli", "docs", "client"}
"""Rooms of tests with processes, and with sweeps."""


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Commands set up logging for their process, which here is that of all tests."""
    loggers = (logging.getLogger(), logging.getLogger("trio_agent"))
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers = handlers


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are cores: some tests wait for processes."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the rooms whose tests take long, so that none of them is left for the end."""
    items.sort(key=lambda item: not LONG & set(item.path.parts))


def pytest_sessionstart() -> None:
    """Let Ctrl-C reach processes, even if the tests themselves run in a shell's background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly that nobody has looked at the page."""
    if page_kit.MISSING is not None and terminalreporter.stats.get("skipped"):
        line = f"WARNING: the playground page was NOT tested in a browser: {page_kit.MISSING}"
        terminalreporter.write_line(line, red=True, bold=True)
