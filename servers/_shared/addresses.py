"""The addresses that servers tell."""

import trio


def address_of(listener: trio.SocketListener, scheme: str) -> str:
    """Return the URL of what listens there."""
    host, port = listener.socket.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
