"""Where a Valkey or Redis is, from its URL. The password is shown nowhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

_TLS: Final = {"valkey": False, "redis": False, "valkeys": True, "rediss": True}
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


@attrs.frozen
class ValkeyAddress:
    """A server, or one node of a cluster, and how to log in there."""

    host: str
    port: int = 6379
    database: int = 0
    tls: bool = False
    cluster: bool = False
    cacert: Path | None = None
    """PEM certificates to trust instead of the system's."""
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)

    def __str__(self) -> str:
        """The URL without its password."""
        scheme = "valkeys" if self.tls else "valkey"
        user = f"{self.username}@" if self.username else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        cluster = "?cluster=true" if self.cluster else ""
        return f"{scheme}://{user}{host}:{self.port}/{self.database}{cluster}"


def parse_valkey_url(url: str) -> ValkeyAddress:
    """Parse ``valkey[s]://[[user]:password@]host[:port][/db][?cluster=true][&cacert=PATH]``.

    ``redis`` and ``rediss`` mean the same. What is special in a URL must be percent-encoded in a
    user or password.

    Raises:
        ValueError: it is no such URL. The message doesn't repeat it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(
            "the URL can't be parsed; percent-encode /, ?, #, @ and : in its user and password"
        ) from None
    if parts.scheme not in _TLS:
        raise ValueError("the URL begins with valkey://, valkeys://, redis:// or rediss://")
    if not host:
        raise ValueError("the URL names no host")
    if parts.fragment:
        raise ValueError("the URL has a fragment; percent-encode a # in its password")
    if parts.username and parts.password is None:
        raise ValueError("the URL names a user without a password")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := options.keys() - {"cluster", "cacert"}:
        raise ValueError(f"the URL has unknown options: {', '.join(sorted(unknown))}")
    return ValkeyAddress(
        host=host,
        port=6379 if port is None else port,
        database=_database(parts.path.strip("/")),
        tls=_TLS[parts.scheme],
        cluster=_flag(options),
        cacert=Path(options["cacert"]) if "cacert" in options else None,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError("the URL's path is the number of a database")
    return int(text or 0)


def _flag(options: Mapping[str, str]) -> bool:
    try:
        return _FLAGS[options.get("cluster", "false")]
    except KeyError:
        raise ValueError("the URL's option cluster is true or false") from None
