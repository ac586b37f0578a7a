"""docs/instruments.md"""

from pathlib import Path

from program_kit import run_example


async def test_meter(tmp_path: Path) -> None:
    output = await run_example("instruments/meter", [], tmp_path)
    assert output == "meteo begins\nmeteo ended: stop, 2 steps\n{('weather', 'ok'): 1}\n"


async def test_context(tmp_path: Path) -> None:
    output = await run_example("instruments/context", [], tmp_path)
    assert output == "/clerk/c1: one tea less\n"
