"""A pytest plugin: as if httpx2 were not installed, so that httpx is used."""

import sys

sys.modules["httpx2"] = None  # type: ignore[assignment]
