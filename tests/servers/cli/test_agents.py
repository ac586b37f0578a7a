"""Agents and models as the command line names them."""

import sys
from pathlib import Path

import pytest
from cli_kit import refused
from process_kit import open_process

from trio_agent import OpenAIModel
from trio_agent.local import LocalModel
from trio_agent.servers.cli import _agents
from trio_agent.servers.cli._agents import find_model, load_agents
from trio_agent.servers.cli._usage import UsageError

ENDPOINT = {"OPENAI_BASE_URL": "http://localhost/v1"}
KEY = {"OPENAI_API_KEY": "k"}


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_agents, "find_spec", lambda name: name)


@pytest.mark.usefixtures("embedded")
class TestFindModel:
    @pytest.mark.parametrize(
        ("name", "environment", "found"),
        [
            ("m", {}, "m"),
            ("m", {**ENDPOINT, "OPENAI_MODEL": "other"}, "m"),
            (None, ENDPOINT, "gpt-4o-mini"),
            (None, KEY, "gpt-4o-mini"),
            (None, {**KEY, "OPENAI_MODEL": "other"}, "other"),
            (None, {**KEY, "OPENAI_MODEL": ""}, "gpt-4o-mini"),
        ],
    )
    def test_endpoint(self, name: str | None, environment: dict[str, str], found: str) -> None:
        model = find_model(name=name, base_url=None, gguf=None, environment=environment)
        assert isinstance(model, OpenAIModel)
        assert model.name == found

    @pytest.mark.parametrize(
        ("name", "environment", "found"),
        [
            ("m", {}, "m"),
            ("m", {**ENDPOINT, **KEY, "OPENAI_MODEL": "other"}, "m"),
            (None, {}, "gpt-4o-mini"),
            (None, {"OPENAI_MODEL": "other"}, "other"),
        ],
    )
    def test_endpoint_that_is_named(
        self, name: str | None, environment: dict[str, str], found: str
    ) -> None:
        url = "http://127.0.0.1:1/v1"
        model = find_model(name=name, base_url=url, gguf=None, environment=environment)
        assert isinstance(model, OpenAIModel)
        assert (model.name, model.base_url) == (found, url)

    def test_file_comes_first(self, tmp_path: Path) -> None:
        path = tmp_path / "model.gguf"
        path.touch()
        model = find_model(name="m", base_url=None, gguf=str(path), environment=ENDPOINT)
        assert isinstance(model, LocalModel)
        assert str(model.path) == str(path)

    @pytest.mark.parametrize(
        "environment", [{}, {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": ""}, {"OPENAI_MODEL": "x"}]
    )
    def test_embedded_comes_last(self, environment: dict[str, str]) -> None:
        model = find_model(name=None, base_url=None, gguf=None, environment=environment)
        assert isinstance(model, LocalModel)
        assert model.path is None

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--gguf"):
            find_model(name=None, base_url=None, gguf=str(tmp_path), environment=KEY)


def test_never_a_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_agents, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"OPENAI_API_KEY(.|\n)*--gguf(.|\n)*trio-agent\[local\]"):
        find_model(name=None, base_url=None, gguf=None, environment={})


def test_load_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    (tmp_path / "agents_of_this_test.py").write_text(
        "from trio_agent import Agent\n"
        "one = Agent(name='one', model='m')\n"
        "pair = (one, Agent(name='two', model='m'))\n"
        "empty = []\n"
        "mixed = [one, 2]\n"
    )
    names = ["agents_of_this_test:one", "agents_of_this_test:pair"]
    assert [agent.name for agent in load_agents(names)] == ["one", "one", "two"]
    assert sys.path.count(str(tmp_path)) == 1
    load_agents(names)
    assert sys.path.count(str(tmp_path)) == 1
    for name in ("empty", "mixed"):
        with pytest.raises(UsageError, match="neither an Agent nor a list"):
            load_agents([f"agents_of_this_test:{name}"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "--agent", "nope"], "takes MODULE:ATTRIBUTE, not 'nope'"),
        (["serve", "--agent", ":nope"], "takes MODULE:ATTRIBUTE"),
        (["serve", "--agent", "nope:"], "takes MODULE:ATTRIBUTE"),
        (["serve", "--agent", "nope_nope:x"], "can't import 'nope_nope'"),
        (["serve", "--agent", "math:nope"], "'math' has no 'nope'"),
        (["serve", "--agent", "math:pi"], "neither an Agent nor a list of them"),
        (["serve", "--agent", "sys:meta_path"], "neither an Agent nor a list of them"),
        (["serve", "--gguf", "/nope.gguf"], "there is no file '/nope.gguf' (--gguf)"),
    ],
)
def test_wrong(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(arguments, capsys)
    assert message in said
    assert said.count("\n") == 1


async def test_agent_that_prints(tmp_path: Path) -> None:
    # What it prints when it is imported is before the ready line, and its own business; an
    # error of it is one line.
    (tmp_path / "broken.py").write_text("import not_there_at_all\n")
    async with open_process("serve", "--agent", "broken:agent", cwd=tmp_path) as process:
        assert await process.process.wait() == 2
        await process.until(b"\n", process.stderr)
        assert process.stderr.count(b"\n") == 1
        assert b"not_there_at_all" in process.stderr
