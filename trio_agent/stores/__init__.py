"""Where logs are kept."""

from ._memory import MemoryStore as MemoryStore, MemoryStoreStatistics as MemoryStoreStatistics
from .sqlite import SQLiteStore as SQLiteStore, SQLiteStoreStatistics as SQLiteStoreStatistics
from .valkey import ValkeyStore as ValkeyStore
