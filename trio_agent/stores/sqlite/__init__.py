"""Logs in an SQLite file."""

from ._store import SQLiteStore as SQLiteStore, SQLiteStoreStatistics as SQLiteStoreStatistics
