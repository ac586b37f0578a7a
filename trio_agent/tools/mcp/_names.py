"""What the model calls the tools of a server.

- A name depends on the tool's own name and the prefix, and on other tools only where two would
  be called the same.
- Providers take 1 to 64 letters, digits, `_` and `-`. What they don't take becomes `_`; what is
  too long is cut, and ends with a digest of the whole.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

_MAX: Final = 64
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")


def name_tools(prefix: str | None, names: Iterable[str]) -> dict[str, str]:
    """Map what the server calls its tools to what the model calls them."""
    named: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        if name in named:
            continue
        whole = name if prefix is None else f"{prefix}_{name}"
        ours = _UNFIT.sub("_", whole)
        if not ours or len(ours) > _MAX or ours in taken:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            ours = f"{ours[: _MAX - 9]}_{digest}"
        taken.add(ours)
        named[name] = ours
    return named
