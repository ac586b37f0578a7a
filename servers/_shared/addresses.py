"""The addresses that servers bind and tell."""

import ipaddress

import trio

from .guard import Guard, allow_everybody


def address_of(listener: trio.SocketListener, scheme: str) -> str:
    """Return the URL of what listens there."""
    host, port = listener.socket.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach what is bound there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_guard(host: str, guard: Guard | None) -> None:
    """See that what others can reach asks them who they are.

    Raises:
        ValueError: it would let everybody in.
    """
    open_to_all = guard is None or guard.authorize is allow_everybody
    if open_to_all and not is_loopback(host):
        raise ValueError(
            f"without authorize only loopback addresses can be bound, not {host!r}: pass"
            " guard=Guard(authorize=bearer_tokens(...)), or a hook of your own"
        )
