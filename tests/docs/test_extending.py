"""docs/extending.md"""

from pathlib import Path

from program_kit import run_example

from trio_agent.testing.openai import Answer, RecordedRequest, finish, text


async def test_parrot(tmp_path: Path) -> None:
    output = await run_example("extending/parrot", [], tmp_path)
    assert output == "Polly wants a cracker.  8\n"


async def test_line_model(tmp_path: Path) -> None:
    output = await run_example("extending/line_model", [], tmp_path)
    assert output == "Four is the answer.\nconnect: there is no server\n"


async def test_wrapped_model(tmp_path: Path) -> None:
    assert await run_example("extending/wrapped_model", [], tmp_path) == "HERE I AM.\n3 words\n"


async def test_refreshing_model(tmp_path: Path) -> None:
    def tell(request: RecordedRequest) -> Answer:
        return [text(request.headers["authorization"]), finish()]

    output = await run_example("extending/refreshing_model", [tell], tmp_path)
    assert output == "Bearer key-1\n"


async def test_dict_store(tmp_path: Path) -> None:
    output = await run_example("extending/dict_store", [], tmp_path)
    assert output == "it keeps the contract\nIt works.\n"
