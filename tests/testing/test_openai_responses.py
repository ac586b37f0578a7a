"""The public names of the scripted provider of Responses."""

import inspect

from trio_agent.testing import _scripted_responses, _scripted_server, openai_responses


def test_every_step_is_public() -> None:
    defined = {
        name: value
        for module in (_scripted_responses, _scripted_server)
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    }
    public = {name for name in vars(openai_responses) if not name.startswith("_")}
    # What servers are made of; `Status` is made by `status` only. The rest are names of types.
    inner = {"Status", "Exchange", "serve_script", "open_script"}
    types = {"Piece", "ResponseAnswer", "ResponseScript", "ResponseStep", "Step"}
    assert public == (defined.keys() - inner) | types
    for name in public & defined.keys():
        assert inspect.getdoc(getattr(openai_responses, name))
