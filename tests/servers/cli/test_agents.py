"""Agents and models as the command line names them."""

import os
import sys
from pathlib import Path

import pytest
from cli_kit import refused

from trio_agent import OpenAIModel
from trio_agent.abc import Model
from trio_agent.local import LocalModel
from trio_agent.models import PREFIXES, model_named
from trio_agent.models._provider._model import ProviderModel
from trio_agent.servers.cli import _agents
from trio_agent.servers.cli._agents import find_model, load_agents, model_name
from trio_agent.servers.cli._usage import UsageError
from trio_agent.testing import ScriptedModel

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

    @pytest.mark.parametrize("url", [None, "http://127.0.0.1:1/v1"])
    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_a_prefix_says_the_provider_and_the_url_where_it_is(
        self, prefix: str, url: str | None
    ) -> None:
        model = find_model(name=f"{prefix}:m:8b", base_url=url, gguf=None, environment=ENDPOINT)
        assert type(model) is PREFIXES[prefix]
        assert model == model_named(f"{prefix}:m:8b", base_url=url)

    @pytest.mark.parametrize("prefix", PREFIXES)
    async def test_the_variable_that_is_missing_is_said(
        self, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
            monkeypatch.delenv(name)
        model = find_model(name=f"{prefix}:m", base_url=None, gguf=None, environment={})
        assert isinstance(model, ProviderModel)
        with pytest.raises(
            ValueError, match=f"no API key: set {model._provider.variables}_API_KEY"
        ):
            async with model.open():
                pytest.fail("it has no key")

    def test_what_openais_variable_holds_is_a_name_at_that_endpoint(self) -> None:
        environment = {**ENDPOINT, "OPENAI_MODEL": "openai:m"}
        model = find_model(name=None, base_url=None, gguf=None, environment=environment)
        assert isinstance(model, OpenAIModel)
        assert model.name == "openai:m"

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

    def test_file_without_the_extra(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "model.gguf").touch()
        monkeypatch.setattr(_agents, "find_spec", lambda name: None)
        with pytest.raises(UsageError, match=r"^--gguf needs: pip install 'trio-agent\[local\]'$"):
            find_model(name=None, base_url=None, gguf=str(tmp_path / "model.gguf"))

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--gguf"):
            find_model(name=None, base_url=None, gguf=str(tmp_path), environment=KEY)


def test_never_a_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_agents, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"OPENAI_API_KEY(.|\n)*--gguf(.|\n)*trio-agent\[local\]"):
        find_model(name=None, base_url=None, gguf=None, environment={})


AGENTS = """
from trio_agent import Agent
one = Agent(name='one', model='m')
pair = (one, Agent(name='two', model='m'))
empty = []
mixed = [one, 2]
def make():
    return one
class Lazy:
    @property
    def agent(self):
        return {}['key']
lazy = Lazy()
"""


class TestLoadAgents:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The current folder, with modules that nobody else has."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
        known = set(sys.modules)
        (tmp_path / "agents_of_this_test.py").write_text(AGENTS)
        monkeypatch.setattr(sys, "modules", {**sys.modules})
        assert known == set(sys.modules)
        return tmp_path

    def test_of_the_current_folder(self, folder: Path) -> None:
        names = ["agents_of_this_test:one", "agents_of_this_test:pair"]
        for _ in range(2):
            assert [agent.name for agent in load_agents(names)] == ["one", "one", "two"]
            # Behind whatever is installed.
            assert sys.path.index(str(folder)) == len(sys.path) - 1

    def test_what_is_installed_needs_no_folder(self, folder: Path) -> None:
        (folder / "trio_agent.py").write_text("raise SystemExit('imported')")
        with pytest.raises(UsageError, match=r"servers/__init__.py\) has no 'nope'"):
            load_agents(["trio_agent.servers:nope"])
        assert str(folder) not in sys.path

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("empty", "that is a list, not an Agent or a list of them"),
            ("mixed", "that is a list, not an Agent or a list of them"),
            ("make", "that is a function, not an Agent or a list of them: name what it returns"),
            ("lazy.agent", r"'lazy.agent' can't be read: KeyError: 'key' \(.*_test.py, line 12\)"),
        ],
    )
    def test_attributes_that_are_none(self, name: str, message: str) -> None:
        with pytest.raises(UsageError, match=f"^--agent agents_of_this_test:{name}: {message}$"):
            load_agents([f"agents_of_this_test:{name}"])

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (
                "import not_there_at_all",
                "can't import 'broken': No module named 'not_there_at_all'",
            ),
            (
                "from math import nope",
                "can't import 'broken': cannot import name 'nope' from 'math'",
            ),
            ("x = (", r"'broken' fails when it is imported: SyntaxError: .*broken.py, line 1"),
            (
                "\ndef make():\n    raise ValueError('no\\nkey')\nagent = make()",
                r"'broken' fails when it is imported: ValueError: no key \(.*broken.py, line 3\)",
            ),
            ("exit(3)", r"'broken' fails when it is imported: SystemExit: 3 \("),
            (
                "from trio_agent import Agent\nagent = Agent(model=3)",
                "'broken' fails when it is imported: TypeError: model is a Model or",
            ),
        ],
    )
    def test_modules_that_fail(
        self, source: str, message: str, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (folder / "broken.py").write_text(source)
        caplog.set_level("DEBUG", "trio_agent.servers")
        with pytest.raises(UsageError, match=f"^--agent broken:agent: {message}") as caught:
            load_agents(["broken:agent"])
        assert "\n" not in str(caught.value)
        # Whoever asks for it gets all of it.
        [record] = caplog.records
        assert record.exc_info is not None

    def test_what_its_author_says_is_kept(self, folder: Path) -> None:
        (folder / "broken.py").write_text(
            "from trio_agent.servers.cli._usage import UsageError\nraise UsageError('do this')"
        )
        with pytest.raises(UsageError, match=r"^do this$"):
            load_agents(["broken:agent"])

    def test_interrupted(self, folder: Path) -> None:
        (folder / "broken.py").write_text("raise KeyboardInterrupt")
        with pytest.raises(KeyboardInterrupt):
            load_agents(["broken:agent"])


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (OpenAIModel("gpt-x", base_url="http://a/v1"), "gpt-x"),
        (LocalModel(), "qwen2.5-coder-0.5b-instruct"),
        (LocalModel("/some/where/model.q4.gguf"), "model.q4"),
        (ScriptedModel([]), "ScriptedModel"),
    ],
)
def test_model_name(model: Model, name: str) -> None:
    assert model_name(model) == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "--agent", "nope"], "takes MODULE:ATTRIBUTE, not 'nope'"),
        (["serve", "--agent", ":nope"], "takes MODULE:ATTRIBUTE"),
        (["serve", "--agent", "nope:"], "takes MODULE:ATTRIBUTE"),
        (["serve", "--agent", "nope_nope:x"], "can't import 'nope_nope': No module named"),
        (["serve", "--agent", "math.nope:x"], "can't import 'math.nope': No module named"),
        (["serve", "--agent", ".x:x"], "'.x' fails when it is imported: TypeError: the 'package'"),
        (["serve", "--agent", "math:pi"], "that is a float, not an Agent or a list of them"),
        (["serve", "--agent", "sys:meta_path"], "that is a list, not an Agent or a list of them"),
        (["serve", "--agent", "sys:nope"], "'sys' (built in) has no 'nope'"),
        (["batch", "p", "--out", "o", "--agent", "math:pi"], "that is a float"),
        (["serve", "--model", "openai:"], "--model: model: 'openai:' names none"),
        (["serve", "--gguf", "/nope.gguf"], "there is no file '/nope.gguf' (--gguf)"),
    ],
)
def test_wrong(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(arguments, capsys)
    assert message in said
    assert said.count("\n") == 1
