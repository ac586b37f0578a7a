"""docs/tools.md"""

import json
import re
import sys
from pathlib import Path

import trio
from program_kit import EXAMPLES, REPOSITORY, run_example

PAGE = (REPOSITORY / "docs" / "tools.md").read_text()


async def test_schema(tmp_path: Path) -> None:
    name, description, schema = (await run_example("tools/schema", [], tmp_path)).split("\n", 2)
    assert (name, description) == ("find_trains", "Find the next trains between two stations.")
    [shown] = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert json.loads(schema) == json.loads(shown)


async def test_corrections(tmp_path: Path) -> None:
    fields = "expected fields: city, days (optional)"
    output = await run_example("tools/corrections", [], tmp_path)
    assert output == (
        "-> {'town': 'Oslo', 'days': '3'}\n"
        f"<- error: Object contains unknown field `town`; {fields}; unknown fields: town\n"
        "-> {'city': 'Oslo', 'days': '3'}\n"
        f"<- error: Expected `int`, got `str` - at `$.days`; {fields}\n"
        "-> {'city': 'Oslo', 'days': 3}\n"
        "<- ok: Oslo: snow for 3 days\n"
    )
    assert output in PAGE


async def test_errors(tmp_path: Path) -> None:
    output = await run_example("tools/errors", [], tmp_path)
    assert output == (
        "order error: there is no coffee; there is: tea\ncount error: the tool failed (KeyError)\n"
    )
    assert output in PAGE
    log = (tmp_path / "errors.log").read_text()
    assert log.startswith("ERROR:trio_agent:run ")
    assert log.endswith("KeyError: 'coffee'\n")
    assert "ToolError" not in log


async def test_own_schema(tmp_path: Path) -> None:
    output = await run_example("tools/own_schema", [], tmp_path)
    assert output == "moved to 2026-02-01 ['quiet']\n"


async def test_together(tmp_path: Path) -> None:
    output = await run_example("tools/together", [], tmp_path)
    assert output == "5 results, at most 2 at a time\nDone.\n"


async def test_threads(tmp_path: Path) -> None:
    output = await run_example("tools/threads", [], tmp_path)
    assert output == "error: the tool did not finish within 0.1 s\n"


async def test_abandon(tmp_path: Path) -> None:
    output = await run_example("tools/abandon", [], tmp_path)
    assert output == "unknown: nobody waits any more after 0.5 s: the outcome is unknown\n"
    assert output in PAGE


async def test_methods(tmp_path: Path) -> None:
    output = await run_example("tools/methods", [], tmp_path)
    assert output == "get_price ['item']\nconvert ['amount']\n46 crowns.\n"


async def test_outputs(tmp_path: Path) -> None:
    output = await run_example("tools/outputs", [], tmp_path)
    assert output == (
        "event: {'city': 'Oslo', 'day': '2026-02-01', 'low': -3.5, 'sky': ['snow']}\n"
        'model: {"city":"Oslo","day":"2026-02-01","low":-3.5,"sky":["snow"]}\n'
    )
    assert output in PAGE


async def test_inside(tmp_path: Path) -> None:
    output = await run_example("tools/inside", [], tmp_path)
    assert output == "cancelled: ada has no money left\n"


async def test_own_tests(tmp_path: Path) -> None:
    """The example is a file for pytest."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    name = "tools/test_weather"
    options = ("-q", "-p", "no:cacheprovider", "-c", "pytest.ini", "--rootdir", str(tmp_path))
    done = await trio.run_process(
        [sys.executable, "-m", "pytest", *options, str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path,
        capture_stdout=True,
        check=False,
    )
    assert b"3 passed" in done.stdout, done.stdout


async def test_files(tmp_path: Path) -> None:
    output = await run_example("tools/files", [], tmp_path)
    assert [line.partition(":")[0] for line in output.splitlines()] == ["event", "model"]
    assert output in PAGE


async def test_context(tmp_path: Path) -> None:
    lines = (await run_example("tools/context", [], tmp_path)).splitlines()
    # Of progress some may be left out.
    shown = PAGE.split("$ python context.py\n")[1].partition("```")[0].splitlines()
    assert [line for line in shown if line in lines] == lines
    assert lines[0] == "['item', 'count']"
    assert lines[-2:] == ["c1: 2 of tea are on their way", "['c1']"]


async def test_retries(tmp_path: Path) -> None:
    output = await run_example("tools/retries", [], tmp_path)
    assert f"It prints `{output.strip()}`" in PAGE


async def test_contract(tmp_path: Path) -> None:
    output = await run_example("tools/contract", [], tmp_path)
    assert output == 'the fields are: id\n{"route":"order_status","id":"7"}\n'
    assert output in PAGE


async def test_pydantic_models(tmp_path: Path) -> None:
    output = await run_example("tools/pydantic_models", [], tmp_path)
    assert [line.partition(":")[0] for line in output.splitlines()] == ["error", "ok"]
    assert output in PAGE


async def test_waiting(tmp_path: Path) -> None:
    output = await run_example("tools/waiting", [], tmp_path)
    assert output.startswith("refund {'order': '7', 'amount': 20} -> None\n")
    assert output in PAGE
