"""Where a server is, and what may be said about that.

Arguments, variables, headers, and all of a URL but its host may hold secrets. They are in no
`repr`, no error, no log and no fingerprint.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import TypeAlias
from urllib.parse import urlsplit

import attrs


@attrs.frozen
class Command:
    """A program that speaks MCP on its standard streams."""

    command: str
    arguments: tuple[str, ...] = attrs.field(repr=False)
    env: Mapping[str, str] = attrs.field(repr=False)
    cwd: str | None = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """The program, without its folder."""
        return PurePath(self.command).name

    @property
    def address(self) -> str:
        """What a fingerprint may say."""
        return f"stdio:{self.command}"


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the URL of an MCP server begins with http:// or https:// and has a host")
    return url


@attrs.frozen
class Endpoint:
    """A URL that speaks MCP's streamable HTTP."""

    url: str = attrs.field(repr=False, converter=_checked_url)
    headers: Mapping[str, str] = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """The host."""
        return urlsplit(self.url).hostname or ""

    @property
    def address(self) -> str:
        """What a fingerprint may say."""
        parts = urlsplit(self.url)
        port = "" if parts.port is None else f":{parts.port}"
        return f"{parts.scheme}://{parts.hostname}{port}"


Where: TypeAlias = Command | Endpoint
