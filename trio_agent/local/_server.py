"""The program of the subprocess that serves a GGUF file with llama.cpp. It imports no Trio.

Its first line of standard input is its configuration, as JSON; the end of standard input is its
own end. It prints one line: `ready http://127.0.0.1:PORT`, or `error` and a sentence.
"""

import importlib
import json
import os
import sys
import threading
from typing import Any

_QUIET = 1  # errors only: what is less may quote the conversation


def _serve(config: dict[str, Any]) -> Any:
    try:
        xllamacpp = importlib.import_module("xllamacpp")
    except ModuleNotFoundError:
        raise RuntimeError(
            "the embedded model needs an extra: pip install 'trio-agent[local]'"
        ) from None
    except ImportError as exc:
        if "libgomp" not in str(exc):
            raise RuntimeError(f"llama.cpp can't be loaded: {exc}") from None
        raise RuntimeError(
            "install the system package libgomp1 (Debian/Ubuntu: apt-get install libgomp1)"
        ) from None
    params = xllamacpp.CommonParams()
    params.model.path = config["path"]
    params.model_alias = {config["name"]}
    params.api_keys = [config["api_key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = config["context_size"] * config["parallel"]
    params.n_parallel = config["parallel"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"]
    params.chat_template = config["chat_template"]
    params.endpoint_slots = True
    params.ui = False
    params.verbosity = _QUIET
    return xllamacpp.Server(params)


def _end_with_parent() -> None:
    """End this process when the parent closes its end of the pipe, by whatever way."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve until standard input ends."""
    config = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        server = _serve(config)
    except RuntimeError as exc:
        print("error", " ".join(str(exc).split()), flush=True)
        sys.exit(1)
    print("ready", server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
