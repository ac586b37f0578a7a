"""Streamed HTTP responses: the one place that knows httpx."""
