"""docs/first-steps.md"""

from pathlib import Path

from program_kit import run_example

from trio_agent.testing.openai import finish, text


async def test_hello(tmp_path: Path) -> None:
    script = [[text("A nursery "), text("waits."), finish()]]
    assert await run_example("first_steps/hello", script, tmp_path) == "A nursery waits.\n"
