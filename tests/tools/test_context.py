"""What tools are told of their run."""

import threading
from typing import Any

import attrs
import pytest

from trio_agent.tools._context import Principal, RunContext, RunFacts, ToolContext


def test_what_is_private_shows_in_no_repr() -> None:
    context = ToolContext(
        run_id="r",
        principal=Principal("ann", {"key": "s3cret"}),
        metadata={"key": "s3cret"},
        deps="s3cret",
    )
    assert "s3cret" not in repr(context)
    assert "'ann'" in repr(context)


@pytest.mark.parametrize("kind", [RunFacts, RunContext, ToolContext])
def test_by_default_it_is_of_no_run(kind: Any) -> None:
    made = kind()
    assert (made.run_id, made.agent, made.parent, made.principal) == ("", "", None, None)
    assert made.metadata == {}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.agent = "other"


def test_for_tests_of_tools_it_needs_nothing() -> None:
    context = ToolContext(deps=7)
    assert (context.deps, context.call_id) == (7, "")
    context.progress({"done": 1})
    context.request_cancel()


def test_what_a_tool_tells_goes_where_the_run_wants_it() -> None:
    told: list[Any] = []
    context = ToolContext[Any](on_progress=told.append, on_cancel=told.append)
    thread = threading.Thread(target=context.progress, args=({"done": 1},))
    thread.start()
    thread.join()
    context.request_cancel("enough")
    context.request_cancel()
    assert told == [{"done": 1}, "enough", "requested"]
