"""Which redirects are followed.

Two rules. The same request is sent again, or none: 307 and 308 say so, while 301 and 302 leave it
open whether a POST stays one, and 303 says that it does not. And what a request holds, a key and
a conversation, is for one host: it goes there again, or from `http` up to `https`, and nowhere
else. Source: RFC 9110, section 15.4.
"""

from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS: Final = 5

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def redirect_target(method: str, url: str, status: int, location: str) -> str | None:
    """Return the URL to which the same request is to be sent; None if it isn't."""
    if not location or (status not in (307, 308) and method not in ("GET", "HEAD")):
        return None
    try:
        target = urljoin(url, location)
        source, destination = _origin(urlsplit(url)), _origin(urlsplit(target))
    except ValueError:
        return None
    (_, host, _) = source
    upgraded = source == ("http", host, 80) and destination == ("https", host, 443)
    return target if destination == source or upgraded else None


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    port = _DEFAULT_PORTS.get(url.scheme) if url.port is None else url.port
    return url.scheme, url.hostname, port
