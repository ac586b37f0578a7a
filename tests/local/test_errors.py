"""The one error of the embedded model: it is one of ours, and says what to do."""

import trio_agent.local
from trio_agent._errors import ModelError, TrioAgentError
from trio_agent.local._errors import LocalModelUnavailable


def test_an_embedded_model_that_is_not_there() -> None:
    error = LocalModelUnavailable("install it")
    assert isinstance(error, TrioAgentError)
    # It is raised where the model is opened, where nobody was asked yet.
    assert not isinstance(error, ModelError)
    assert str(error) == "install it"
    assert trio_agent.local.LocalModelUnavailable is LocalModelUnavailable
