"""Models by name: what is a prefix, what is a name, and which are one."""

import itertools

import pytest
from model_kit import Emitted

from trio_agent.models import PREFIXES, OpenAIModel, model_named
from trio_agent.models._names import to_model
from trio_agent.models._parts import ModelRequest
from trio_agent.models._provider._model import ProviderModel
from trio_agent.testing import ScriptedModel
from trio_agent.testing.openai import finish, open_scripted_openai


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ["m", "m:8b", "ft:m:org::id", "openai:m", " m "])
def test_what_is_registered(prefix: str, name: str) -> None:
    model = model_named(f"{prefix}:{name}")
    assert type(model) is PREFIXES[prefix]
    assert isinstance(model, ProviderModel)
    assert (model.name, model.base_url) == (name, None)
    other = model_named(f"{prefix}:{name}", base_url="http://localhost/v1")
    assert type(other) is type(model)
    assert isinstance(other, ProviderModel)
    assert (other.name, other.base_url) == (name, "http://localhost/v1")


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o-mini",
        "llama3:8b",
        "ft:gpt-4o-mini:org::id",
        "OpenAI:gpt-4o-mini",
        " openai:gpt-4o-mini",
        "openai/gpt-4o-mini",
        "nobody:gpt-4o-mini",
        ":gpt-4o-mini",
    ],
)
def test_what_is_a_name(name: str) -> None:
    model = model_named(name)
    assert type(model) is OpenAIModel
    assert model.name == name


@pytest.mark.parametrize("name", ["", *(f"{prefix}:" for prefix in PREFIXES)])
def test_a_name_that_names_none(name: str) -> None:
    with pytest.raises(ValueError, match=f"^model: '{name}' names none, as 'openai:"):
        model_named(name)


def test_one_name_is_one_model() -> None:
    assert model_named("m") is to_model("m") is not model_named("n")
    assert model_named("m", base_url="http://a") is model_named("m", base_url="http://a")
    assert model_named("m", base_url="http://a") is not model_named("m", base_url="http://b")
    for number in range(1000):
        model_named(f"model {number}")


async def test_the_environment_is_read_when_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_scripted_openai(itertools.repeat([finish()])) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        for key in ("one", "two"):
            monkeypatch.setenv("OPENAI_API_KEY", key)
            async with model_named("m").open() as model:
                await model.generate(ModelRequest(()), Emitted())
    keys = [request.headers["authorization"] for request in server.requests]
    assert keys == ["Bearer one", "Bearer two"]


def test_a_model_or_the_name_of_one() -> None:
    model = ScriptedModel()
    assert to_model(model) is model
    for wrong in (None, OpenAIModel, b"m"):
        with pytest.raises(TypeError, match="a Model or the name of one"):
            to_model(wrong)  # type: ignore[arg-type]
