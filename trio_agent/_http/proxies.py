"""Which proxy of the environment is asked for a URL.

Every client reads these variables a little differently, and many are set for other programs. So
what can be understood counts, and what can't is as if it were not there.
Source: the manual of curl, "ENVIRONMENT", and Python's `urllib.request.getproxies`.
"""

import ipaddress
from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def find_proxy(url: str, proxies: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy; None if the server is asked directly.

    Args:
        url: what is asked for.
        proxies: what `getproxies` returned: URLs by scheme, `all`, and the exceptions as `no`.
    """
    parts = urlsplit(url)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    host = parts.hostname or ""
    address = _address(host)
    # A proxy is not asked for this machine: it could not reach it, and would see the key.
    if not proxy or host == "localhost" or (address is not None and address.is_loopback):
        return None
    exceptions = proxies.get("no", "").replace(",", " ").lower().split()
    if any(_names(exception, parts, address) for exception in exceptions):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _names(exception: str, url: SplitResult, address: _Address | None) -> bool:
    """Whether one entry of `NO_PROXY` means the host: a name, an address or a range of these."""
    host = url.hostname or ""
    name = exception.rpartition("://")[2]
    if name == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(name.strip("[]"), strict=False)
        except ValueError:
            pass
    name, colon, port = name.partition(":")
    if colon and port != str(url.port):
        return False
    name = name.lstrip("*").lstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
