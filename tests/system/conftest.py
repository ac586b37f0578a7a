"""What tests that kill processes begin with: chance, and a Valkey server of their own."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
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
