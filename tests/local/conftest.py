"""Where the weights of this folder's tests come from and go to, and a model for llama.cpp."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_fakes import WHOLE, Site, make_weights, make_xllamacpp, script

from trio_agent.local._weights import URL_VARIABLE, Weights


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def weights(source: Path) -> Weights:
    return make_weights(source)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            site.ranges.append(self.headers["Range"])
            begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if not site.serves_ranges:
                begin = 0
            partial = site.serves_ranges and site.status == 200
            self.send_response(206 if partial else site.status)
            if partial:
                self.send_header("Content-Range", f"bytes {begin}-{len(WHOLE) - 1}/{len(WHOLE)}")
            self.send_header("Content-Length", str(len(WHOLE) - begin))
            self.end_headers()
            self.wfile.write(WHOLE[begin : site.cut_after])
            if site.cut_after < len(WHOLE):
                site.stop.wait(20)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_port}/model"
        yield site
        site.stop.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_xllamacpp(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return script(tmp_path / "model.gguf")
