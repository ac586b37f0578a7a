"""The programs of README.md, run as they stand there."""

import os
import re
import sys
from pathlib import Path

import trio
from server_kit import SOON

from trio_agent.testing._scripted_openai import (
    Script,
    finish,
    open_scripted_openai,
    pause,
    text,
    tool_call,
    usage,
)

README = Path(__file__).parent.parent / "README.md"
PROGRAMS = dict(
    re.findall(r"<!-- test: ([a-z-]+) -->\n```python\n(.*?)```", README.read_text(), re.DOTALL)
)


async def run_program(name: str, script: Script, tmp_path: Path) -> str:
    """Return what the program wrote."""
    file = tmp_path / f"{name.replace('-', '_')}.py"
    file.write_text(PROGRAMS[name])
    with trio.fail_after(3 * SOON):
        async with open_scripted_openai(script) as server:
            env = {**os.environ, "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test"}
            command = [sys.executable, "-W", "error", str(file)]
            done = await trio.run_process(
                command,
                env=env,
                cwd=tmp_path,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    assert (done.returncode, done.stderr) == (0, b"")
    return str(done.stdout.decode())


def test_which_programs_there_are() -> None:
    assert set(PROGRAMS) == {"first-program", "runtime"}
    assert README.read_text().count("<!-- test:") == len(PROGRAMS)


async def test_first_program(tmp_path: Path) -> None:
    script = [
        [text("A nursery "), text("waits."), finish()],
        [
            tool_call("c1", "get_weather", ['{"city": ', '"Oslo"}']),
            finish("tool_calls"),
            usage(5, 2),
        ],
        [text("Snow in "), text("Oslo."), finish(), usage(9, 3)],
    ]
    output = await run_program("first-program", script, tmp_path)
    assert output == (
        "A nursery waits.\n[get_weather {'city': 'Oslo'}]\nSnow in Oslo.\n2 steps, 19 tokens\n"
    )


async def test_runtime(tmp_path: Path) -> None:
    script = [[text("Once "), text("upon "), pause(trio.Event())]]
    first, batch, receipt = (await run_program("runtime", script, tmp_path)).splitlines()
    assert first.startswith("RunStart(")
    assert "RunStart" not in batch
    assert batch.startswith("[StepStart(")
    assert receipt.startswith("Receipt(outcome='cancelled'")
