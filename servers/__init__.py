"""Servers for agents: HTTP with server-sent events, WebSocket, and the `trio-agent` command."""

from ._shared.guard import (
    LOOPBACK_HOSTS as LOOPBACK_HOSTS,
    Authorize as Authorize,
    Caller as Caller,
    Guard as Guard,
    Unauthorized as Unauthorized,
    bearer_tokens as bearer_tokens,
)
from ._shared.service import Service as Service
from .http import create_app as create_app, serve_http as serve_http
from .websocket import (
    WebSocketServer as WebSocketServer,
    serve_websocket as serve_websocket,
)
