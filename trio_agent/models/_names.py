"""Models by name, such as `gpt-4o-mini` or `openai:gpt-4o-mini`.

The rule: only a prefix that stands in the table is one, to the letter. Names of models have colons
of their own (`llama3:8b`, `ft:gpt-4o-mini:...`), and are names of OpenAI's kind as they are. A
name is one model: who says it twice gets the same object, so that a runtime opens it once.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ._model import Model
from ._provider._model import ProviderModel
from .anthropic._model import AnthropicModel
from .openai._model import OpenAIModel
from .openai_responses._model import OpenAIResponsesModel

PREFIXES: Final[Mapping[str, type[ProviderModel]]] = {
    "openai": OpenAIModel,
    "openai-responses": OpenAIResponsesModel,
    "anthropic": AnthropicModel,
}
"""Whose model it is, by what stands before the first colon of its name."""

_KEPT: Final = 256
"""Models that are remembered. They hold nothing but their settings."""


def to_model(model: Model | str) -> Model:
    """Return the model, or the one of that name.

    Raises:
        TypeError, ValueError: it is neither.
    """
    if isinstance(model, str):
        return model_named(model)
    if isinstance(model, Model):
        return model
    raise TypeError(f"model is a Model or the name of one, not {model!r}")


def model_named(name: str, *, base_url: str | None = None) -> Model:
    """Return the model of this name: `OpenAIModel` of it, if it has no prefix of another provider.

    The same name gives the same object. The environment is read when that is opened: what is in
    use keeps the key and the URL that it was opened with.

    Args:
        name: the model's name at the provider, which may stand behind a prefix and a colon.
        base_url: where it is, in the language of that provider. By default as its environment
            variable or the provider says.

    Raises:
        ValueError: the name is empty.
    """
    return _model_named(name, base_url)


@lru_cache(maxsize=_KEPT)
def _model_named(name: str, base_url: str | None) -> Model:
    prefix, colon, rest = name.partition(":")
    if not colon or prefix not in PREFIXES:
        prefix, rest = "openai", name
    if not rest:
        raise ValueError(f"model: {name!r} names none, as 'openai:gpt-4o-mini' does")
    return PREFIXES[prefix](rest, base_url=base_url)
