"""What you test agents, models and stores with."""

from ._check_store import check_store
from ._crash import CrashingStore
from ._scripted_model import Line, ScriptedModel, call, output
from ._store_proxies import FaultyStore, InterruptingStore, StoreProxy
from ._sweep import Sweep, autojump_clock, cancel_sweep

__all__ = [
    "CrashingStore",
    "FaultyStore",
    "InterruptingStore",
    "Line",
    "ScriptedModel",
    "StoreProxy",
    "Sweep",
    "autojump_clock",
    "call",
    "cancel_sweep",
    "check_store",
    "output",
]
