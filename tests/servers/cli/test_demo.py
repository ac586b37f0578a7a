"""``trio-agent demo`` as a real process, against a scripted provider."""

from pathlib import Path

from process_kit import open_process

from trio_agent.testing.openai import (
    Script,
    finish,
    open_scripted_openai,
    status,
    text,
    tool_call,
    usage,
)

DEMO_CALL = tool_call("c1", "get_weather", ['{"ci', 'ty":', ' "Os', 'lo"}'])
LONG_ANSWER = [text(f"word{number} ") for number in range(40)]


async def run(script: Script, cwd: Path, **env: str) -> tuple[int, str, str]:
    async with open_scripted_openai(script) as provider:
        settings = {"OPENAI_BASE_URL": provider.base_url, **env}
        async with open_process("demo", cwd=cwd, **settings) as process:
            code = await process.process.wait()
            while not process.stdout.endswith(b"\n"):
                await process.news.wait()
            return code, process.stdout.decode(), process.stderr.decode()


async def test_with_a_tool(tmp_path: Path) -> None:
    script = [
        [text("Let me "), text("look. "), *DEMO_CALL, finish("tool_calls"), usage(9, 9)],
        [*LONG_ANSWER, finish(), usage(9, 40)],
    ]
    # Settings for servers of others are not those of the demo's own.
    others = {
        "TRIO_AGENT_TOKENS": "alice:0123456789abcdef",
        "TRIO_AGENT_HOST": "0.0.0.0",
        "TRIO_AGENT_AGENT": "math:pi",
    }
    code, out, err = await run(script, tmp_path, **others)
    assert code == 0, out + err
    assert '-> get_weather({"city":"Oslo"})' in out
    assert "<- ok: Oslo: -3 degrees Celsius, snow (made-up data)" in out
    assert "-- connection cut after event" in out
    assert "-- resumed with Last-Event-ID" in out
    assert "byte for byte" in out.splitlines()[-1]
    assert "called no tool" not in out
    assert "word39" in out
    assert "\x1b" not in out
    assert "Traceback" not in err


async def test_without_a_tool(tmp_path: Path) -> None:
    code, out, _ = await run([[*LONG_ANSWER, finish()]], tmp_path)
    assert code == 0
    assert "-- the model called no tool this time" in out


async def test_short_answer(tmp_path: Path) -> None:
    code, out, _ = await run([[text("No."), finish()]], tmp_path)
    assert code == 0
    assert "-- the run was too short to be cut" in out


async def test_run_that_fails(tmp_path: Path) -> None:
    failing = [status(401, body={"error": {"message": "no"}})]
    code, out, _ = await run([failing] * 5, tmp_path)
    assert code == 1
    assert out.splitlines()[-1] == "-- FAILED: the run did not finish"
