"""What `logging` has to say, on standard error.

`--log-level` is about this package: others say warnings, as ever, because what they log in more
detail may hold what is nobody's business.
"""

import argparse
import logging
from argparse import ArgumentParser
from typing import Final

from ._options import add_option
from ._say import SayHandler

_LEVELS: Final = {
    name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error")
}


def log_level(text: str) -> int:
    """Convert a level."""
    try:
        return int(_LEVELS[text.lower()])
    except KeyError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {', '.join(_LEVELS)}") from None


def add_log_option(parser: ArgumentParser) -> None:
    """Add `--log-level`."""
    text = f"what is logged: {', '.join(_LEVELS)} (default: warning)"
    add_option(parser, "--log-level", type=log_level, default="warning", metavar="LEVEL", help=text)


def start_logging(level: int = logging.WARNING) -> None:
    """Log from this level on; again, with another one."""
    handler = SayHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("trio_agent").setLevel(level)
    logging.getLogger().setLevel(max(level, logging.WARNING))
