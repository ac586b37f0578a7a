"""docs/stores.md"""

from pathlib import Path

from program_kit import run_example
from valkey_kit import running_server

from trio_agent.testing.openai import Script, finish, text

ANSWER: Script = [[text("Blue light "), text("scatters more."), finish()]]


async def test_sqlite(tmp_path: Path) -> None:
    output = await run_example("stores/sqlite", ANSWER, tmp_path)
    assert output == "stop {'topic': 'physics'}\nBlue light scatters more.\n"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


async def test_follow(tmp_path: Path) -> None:
    await run_example("stores/sqlite", ANSWER, tmp_path)
    output = await run_example("stores/follow", [], tmp_path, "runs.db")
    assert output == "Blue light scatters more.\n"


async def test_history(tmp_path: Path) -> None:
    await run_example("stores/sqlite", ANSWER, tmp_path)
    output = await run_example("stores/history", [], tmp_path, "runs.db")
    assert output == "stop {'topic': 'physics'} Blue light scatters more.\n"
    assert await run_example("stores/history", [], tmp_path, "runs.db") == ""


async def test_retention(tmp_path: Path) -> None:
    await run_example("stores/sqlite", ANSWER, tmp_path)
    assert await run_example("stores/retention", [], tmp_path, "runs.db") == "kept: 1\n"


async def test_backup(tmp_path: Path) -> None:
    await run_example("stores/sqlite", ANSWER, tmp_path)
    assert await run_example("stores/backup", [], tmp_path, "runs.db", "copy.db") == ""
    output = await run_example("stores/follow", [], tmp_path, "copy.db")
    assert output == "Blue light scatters more.\n"


async def test_valkey(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        output = await run_example("stores/valkey", [], tmp_path, server.url)
    assert output == "cancel: cancelled\ntext: It goes on\nreason: seen enough\n"
