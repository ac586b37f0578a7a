"""Runs over WebSocket."""

from ._server import WebSocketServer as WebSocketServer, serve_websocket as serve_websocket
