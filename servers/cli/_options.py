"""Options that can be given on the command line or in the environment.

Whatever is said about a value names where it came from.
"""

import os
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any, Final

from ._usage import UsageError

PREFIX: Final = "TRIO_AGENT_"


def add_option(parser: ArgumentParser, option: str, **settings: Any) -> None:
    """Add an option whose default the environment may change."""
    default = _environment(option) or settings.pop("default", None)
    settings.pop("default", None)
    required = settings.pop("required", False) and default is None
    if "type" in settings:
        settings["type"] = _naming(option, settings["type"])
    # A default that is text is converted as if it had been given.
    parser.add_argument(option, default=default, required=required, **settings)


def add_repeatable(parser: ArgumentParser, option: str, **settings: Any) -> None:
    """Add an option that can be repeated; in the environment, words are separated by spaces."""
    default = _environment(option).split()
    parser.add_argument(option, action="append", default=default, **settings)


def origin(option: str, value: str) -> str:
    """Name where this value of an option came from: the option, or a variable."""
    given = _environment(option)
    return _variable(option) if value and value in (given, *given.split()) else option


def _environment(option: str) -> str:
    return os.environ.get(_variable(option), "")


def _variable(option: str) -> str:
    return PREFIX + option.strip("-").replace("-", "_").upper()


def _naming(option: str, convert: Callable[[str], object]) -> Callable[[str], object]:
    def converter(text: str) -> object:
        try:
            return convert(text)
        except (ValueError, ArgumentTypeError) as exc:
            name = origin(option, text)
            if name == option:
                raise  # argparse names it
            raise UsageError(f"{name}: {exc}") from None

    return converter
