"""Logs in Valkey or Redis."""
