"""What went between a model and its tools, in a form that all providers take.

A model may write broken arguments or call a name that no tool could have, and a tool may say
nothing; one such turn must not spoil all that come behind it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_NAME: Final = 64
_NO_OUTPUT: Final = "(no output)"


def sendable_name(name: str) -> str:
    """Return the name of a tool without what no name can have."""
    return _NO_NAME.sub("_", name)[:_MAX_NAME] or "_"


def sendable_input(value: Any) -> Mapping[str, Any]:
    """Return arguments as an object.

    What is none, or no JSON at all, goes back within one: the model sees what it wrote.
    """
    return value if isinstance(value, Mapping) else {"invalid": value}


def sendable_arguments(value: Any) -> str:
    """Return the same as JSON text."""
    return msgspec.json.encode(sendable_input(value)).decode()


def sendable_output(text: str) -> str:
    """Return a result. Some refuse an empty text, some a blank one; none a word about it."""
    return _NO_OUTPUT if not text or text.isspace() else text
