"""``trio-agent demo --kill`` as real processes, against a scripted provider."""

from pathlib import Path

import pytest
import trio
from process_kit import PATIENCE, open_process

from trio_agent.testing.openai import (
    Script,
    finish,
    open_scripted_openai,
    pause,
    text,
    tool_call,
)

CALL = [
    *tool_call("c1", "book_room", ['{"city": "Oslo",', ' "nights": 2}']),
    finish("tool_calls"),
]
WORDS = [text(f"word{number} ") for number in range(10)]
DONE = [text("It is booked."), finish()]


def without_end() -> list[object]:
    return [*WORDS, pause(trio.Event())]


async def run(script: Script, *arguments: str, said: bytes, cwd: Path) -> tuple[int, list[str]]:
    async with open_scripted_openai(script) as provider:
        settings = {"OPENAI_BASE_URL": provider.base_url}
        async with open_process(
            "demo", "--kill", *arguments, cwd=cwd, stdin=said, seconds=3 * PATIENCE, **settings
        ) as process:
            code = await process.process.wait()
            await process.finished()
            assert process.stderr == b""
            return code, process.stdout.decode().splitlines()


@pytest.mark.parametrize(
    ("arguments", "said", "answer"),
    [
        ((), b"", "!! book_room: yes"),
        (("--ask",), b"y\n", "!! book_room: yes"),
        (("--ask",), b"n\n", "!! book_room: no"),
    ],
)
async def test_killed_twice(
    arguments: tuple[str, ...], said: bytes, answer: str, tmp_path: Path
) -> None:
    script: Script = [without_end(), [*WORDS, *CALL], DONE]
    code, lines = await run(script, *arguments, said=said, cwd=tmp_path)
    assert code == 0, lines
    story = [
        "-- the run's server was killed (SIGKILL) in the middle of its answer",
        "-- another server was started on the same file",
        "-- the viewer has reconnected, with Last-Event-ID",
        "[goes on: worker-lost]",
        "[taken back: what step 1 has said; it is asked again (worker-lost)]",
        "[waiting: 1 of its calls want an answer]",
        "-- the run's server was killed (SIGKILL) while it waits",
        "[goes on: answered]",
        answer,
        "It is booked.",
        "[stop: 2 steps]",
    ]
    places = [lines.index(line) for line in story]
    # The viewer may reconnect before we have said that there is a server again.
    assert sorted(places[2:]) == places[2:]
    assert places[0] < min(places[1:])
    assert "the same for this viewer and for one that came afterwards, byte for byte" in lines[-1]


async def test_run_that_waits_for_nobody(tmp_path: Path) -> None:
    script: Script = [without_end(), DONE]
    code, lines = await run(script, said=b"", cwd=tmp_path)
    assert code == 0, lines
    assert "-- the model asked for no approval this time" in lines
    assert lines.count("-- another server was started on the same file") == 1
    assert "byte for byte" in lines[-1]
