"""The program of README.md, run as it stands there, and where its links lead."""

import re
from pathlib import Path

from program_kit import REPOSITORY, run_program

from trio_agent.testing.openai import finish, text, tool_call, usage

README = (REPOSITORY / "README.md").read_text()
PROGRAMS = dict(re.findall(r"<!-- test: ([a-z-]+) -->\n```python\n(.*?)```", README, re.DOTALL))


def test_every_program_is_run() -> None:
    assert set(PROGRAMS) == {"first-program"}
    assert README.count("```python") == len(PROGRAMS)


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
    file = tmp_path / "my_module.py"
    file.write_text(PROGRAMS["first-program"])
    first, call, answer, receipt = (await run_program(file, script, tmp_path)).splitlines()
    assert first == "A nursery waits."
    assert call == "[get_weather {'city': 'Oslo'}]"
    assert answer == "Snow in Oslo."
    assert receipt.startswith("Receipt(outcome='stop', ")


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 15
    for link in links:
        assert link.startswith("https://") or (REPOSITORY / link).is_file(), link


def test_it_is_short() -> None:
    """It sells and teaches; the documentation does the rest."""
    assert len(README.splitlines()) <= 110
