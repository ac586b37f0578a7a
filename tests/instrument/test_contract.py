"""What an instrument is told of: which methods there are."""

import inspect

import pytest

from trio_agent._instrument.contract import Instrument

METHODS = {name: each for name, each in vars(Instrument).items() if not name.startswith("_")}


def test_the_moments() -> None:
    around = {name for name, each in METHODS.items() if inspect.isgeneratorfunction(each)}
    assert around == {"run", "step", "model", "tool"}
    assert METHODS.keys() - around == {"model_retried", "model_switched"}


@pytest.mark.parametrize("name", METHODS)
def test_parameters_may_be_called_as_one_likes(name: str) -> None:
    _, facts = inspect.signature(METHODS[name]).parameters.values()
    assert facts.kind is inspect.Parameter.POSITIONAL_ONLY
