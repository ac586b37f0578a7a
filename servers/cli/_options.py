"""Options that can be given on the command line or in the environment.

Whatever is said about a value names where it came from.
"""

import os
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any, Final

from ._usage import UsageError

PREFIX: Final = "TRIO_AGENT_"


class _FromEnvironment(str):
    """A value that knows its variable."""

    __slots__ = ("variable",)
    variable: str


def origin(option: str, value: str) -> str:
    """Name where this value of an option came from: the option, or a variable."""
    return value.variable if isinstance(value, _FromEnvironment) else option


def add_option(parser: ArgumentParser, option: str, **settings: Any) -> None:
    """Add an option whose default the environment may change."""
    default = _environment(option) or settings.pop("default", None)
    settings.pop("default", None)
    required = settings.pop("required", False) and default is None
    if "type" in settings:
        settings["type"] = _naming(settings["type"])
    # A default that is text is converted as if it had been given.
    parser.add_argument(option, default=default, required=required, **settings)


def add_repeatable(parser: ArgumentParser, option: str, **settings: Any) -> None:
    """Add an option that can be repeated; in the environment, words are separated by spaces."""
    text = _environment(option)
    default = [_from(text.variable, word) for word in text.split()]
    parser.add_argument(option, action="append", default=default, **settings)


def _environment(option: str) -> _FromEnvironment:
    variable = PREFIX + option.strip("-").replace("-", "_").upper()
    return _from(variable, os.environ.get(variable, ""))


def _from(variable: str, text: str) -> _FromEnvironment:
    value = _FromEnvironment(text)
    value.variable = variable
    return value


def _naming(convert: Callable[[str], object]) -> Callable[[str], object]:
    def converter(text: str) -> object:
        try:
            return convert(text)
        except (ValueError, ArgumentTypeError) as exc:
            if isinstance(text, _FromEnvironment):
                raise UsageError(f"{text.variable}: {exc}") from None
            raise

    return converter
