"""Runs over WebSocket."""
