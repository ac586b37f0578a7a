"""The servers of this folder's tests: one alone and a cluster, for all; and one to mistreat.

What needs the extra is imported by fixtures: tests without a server run without it, too.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trio_agent.stores.valkey._store import ValkeyStore

if TYPE_CHECKING:
    from valkey_kit import ValkeyServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["ValkeyServer"]:
    from valkey_kit import running_server

    with running_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence["ValkeyServer"]]:
    from valkey_kit import running_cluster

    with running_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator["ValkeyServer"]:
    """A server to mistreat."""
    from valkey_kit import running_server

    (tmp_path / "valkey").mkdir()
    with running_server(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
async def store(server: "ValkeyServer") -> AsyncIterator[ValkeyStore]:
    from valkey_kit import opened

    async with opened(server.url) as store:
        yield store
