"""What tests that kill processes begin with: chance, and a Valkey server of their own."""

import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio
from place_kit import STORES, Place, open_place
from valkey_kit import ValkeyServer, running_server


@pytest.fixture
def rng() -> random.Random:
    """Chance, whose seed is printed: `KILL_SEED` repeats it, as far as processes do."""
    seed = os.environ.get("KILL_SEED") or str(random.SystemRandom().randrange(1 << 32))
    print(f"KILL_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    folder = tmp_path / "valkey"
    folder.mkdir()
    with running_server(folder) as server:
        yield server


@pytest.fixture
def grace() -> str:
    """Seconds that runs may go on behind SIGTERM."""
    return "600"


@pytest.fixture(params=STORES)
async def place(
    request: pytest.FixtureRequest, nursery: trio.Nursery, tmp_path: Path, grace: str
) -> AsyncIterator[Place]:
    """Servers that are killed, over both stores that outlive them."""
    valkey = request.getfixturevalue("valkey").url if request.param == "valkey" else None
    async with open_place(valkey, tmp_path, grace) as opened:
        yield opened
