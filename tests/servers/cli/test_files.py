"""Files that the command line names."""

from pathlib import Path

import pytest

from trio_agent import File
from trio_agent.servers.cli import _files
from trio_agent.servers.cli._files import read_files
from trio_agent.servers.cli._usage import UsageError


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("cat.png", b"\x89PNG", "image/png"),
        ("CAT.JPEG", b"\xff\xd8", "image/jpeg"),
        ("a.pdf", b"%PDF", "application/pdf"),
        ("notes.rst", "häm".encode(), "text/plain"),
        ("Makefile", b"all:", "text/plain"),
    ],
)
def test_media_types(name: str, data: bytes, media_type: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    [file] = read_files([str(path)])
    if name != "notes.rst":  # the system may know better
        assert file.media_type == media_type
    assert (file.data, file.name) == (data, name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no.png", "No such file"),
        (".", "Is a directory"),
        ("empty.png", "the file is empty"),
        ("strange", "it can't be told what file this is"),
        ("a\0b", "null"),
    ],
)
def test_what_can_not_be_read(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "strange").write_bytes(b"\xff\xfe\0")
    with pytest.raises(UsageError, match=f"^--file .*{why}"):
        read_files([str(tmp_path / name)])


def test_they_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "MAX_BYTES", 10)
    path = tmp_path / "a.png"
    path.write_bytes(b"x" * 5)
    assert read_files([str(path)] * 2) == (File("image/png", data=b"xxxxx", name="a.png"),) * 2
    with pytest.raises(UsageError, match="files have at most 0 MiB together"):
        read_files([str(path)] * 3)


def test_an_endless_one_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "MAX_BYTES", 10)
    with pytest.raises(UsageError, match="at most"):
        read_files(["/dev/zero"])
