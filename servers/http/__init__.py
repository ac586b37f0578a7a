"""Runs over HTTP and server-sent events, and the playground page."""

from ._app import create_app as create_app, serve_http as serve_http
