"""Runs over HTTP and server-sent events, and the playground page."""
