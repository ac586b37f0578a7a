"""What has to be said at the end of a test run."""

import page_kit
import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly that nobody has looked at the page."""
    if page_kit.MISSING is not None and terminalreporter.stats.get("skipped"):
        line = f"WARNING: the playground page was NOT tested in a browser: {page_kit.MISSING}"
        terminalreporter.write_line(line, red=True, bold=True)
