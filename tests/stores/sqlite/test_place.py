"""Whether a file that is open is still the one at its path."""

import os
import shutil
import time
from pathlib import Path

import pytest

from trio_agent._errors import StoreUnavailable
from trio_agent.stores.sqlite._place import Place


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "runs.db"
    path.touch()
    return path


@pytest.mark.parametrize("away", [remove, replace, remove_folder])
def test_it_is_noticed(file: Path, away: object, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(file)
    place.look()
    assert callable(away)
    away(file)
    place.glance()  # not so soon
    later = time.monotonic() + 1.5
    monkeypatch.setattr(time, "monotonic", lambda: later)
    for look in (place.glance, place.glance, place.look):
        with pytest.raises(StoreUnavailable, match="was removed or replaced") as caught:
            look()
        assert str(file) not in str(caught.value)


def test_so_is_the_log_beside_it(file: Path) -> None:
    log = file.with_name(f"{file.name}-wal")
    place = Place(file)
    log.touch()
    place.look()
    place = Place(file)
    log.unlink()
    with pytest.raises(StoreUnavailable, match="was removed or replaced"):
        place.look()


def test_what_comes_back_is_there(file: Path) -> None:
    place = Place(file)
    aside = file.with_name("aside")
    file.rename(aside)
    with pytest.raises(StoreUnavailable):
        place.look()
    aside.rename(file)
    os.utime(file)
    place.look()


def test_a_full_disk(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(file)
    place.look_for_room()
    usage = shutil.disk_usage(file)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        place.look_for_room()
