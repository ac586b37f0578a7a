"""Options that can be given on the command line or in the environment."""

import os
from argparse import ArgumentParser
from typing import Any, Final

PREFIX: Final = "TRIO_AGENT_"


def add_option(parser: ArgumentParser, option: str, **settings: Any) -> None:
    """Add an option whose default the environment may change."""
    default = _environment(option) or settings.pop("default", None)
    settings.pop("default", None)
    required = settings.pop("required", False) and default is None
    # A default that is text is converted as if it had been given.
    parser.add_argument(option, default=default, required=required, **settings)


def add_repeatable(parser: ArgumentParser, option: str, **settings: Any) -> None:
    """Add an option that can be repeated; in the environment, words are separated by spaces."""
    default = _environment(option).split()
    parser.add_argument(option, action="append", default=default, **settings)


def _environment(option: str) -> str:
    return os.environ.get(PREFIX + option.strip("-").replace("-", "_").upper(), "")
