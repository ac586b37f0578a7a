"""The embedded model: llama.cpp in a subprocess, with weights from the user's cache.

Needs the extra `local`: `pip install 'trio-agent[local]'`.
"""

from ._errors import LocalModelUnavailable
from ._model import LocalModel
from ._process import LocalServer, ServerConfig, open_local_server
from ._progress import Progress, ProgressCallback, show_progress
from ._weights import QWEN, Weights, cache_directory, fetch_weights

__all__ = [
    "QWEN",
    "LocalModel",
    "LocalModelUnavailable",
    "LocalServer",
    "Progress",
    "ProgressCallback",
    "ServerConfig",
    "Weights",
    "cache_directory",
    "fetch_weights",
    "open_local_server",
    "show_progress",
]
