"""What viewers are shown of a server's progress."""

import math
from collections.abc import Mapping
from typing import Any, Final

_MAX_MESSAGE: Final = 1000


def progress_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a `ToolProgress`: `progress`, and `total` and `message` where given."""
    shown: dict[str, Any] = {}
    for name in ("progress", "total"):
        number = params.get(name)
        if isinstance(number, int | float) and math.isfinite(number):
            shown[name] = number
    message = params.get("message")
    if isinstance(message, str):
        shown["message"] = message[:_MAX_MESSAGE]
    return shown
