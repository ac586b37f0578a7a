"""Logs in Valkey or Redis, shared by several servers. Needs the extra `valkey`."""

from ._store import ValkeyStore as ValkeyStore
