"""What a run tells those who work for it."""

import attrs
import pytest

from trio_agent.tools._context import Principal, RunContext, RunFacts, ToolContext


def test_a_context_without_a_run_tells_nobody() -> None:
    """As in tests of tools."""
    context = ToolContext(deps="shop")
    context.progress({"done": 1})
    context.request_cancel()
    assert (context.deps, context.run_id, context.call_id, context.agent) == ("shop", "", "", "")
    assert (context.principal, context.metadata) == (None, {})


def test_what_is_told_goes_to_the_run() -> None:
    told: list[object] = []
    context = ToolContext[None](on_progress=told.append, on_cancel=told.append)
    context.progress({"done": 1})
    context.request_cancel()
    context.request_cancel("enough")
    assert told == [{"done": 1}, "requested", "enough"]


def test_no_secret_is_shown() -> None:
    context = ToolContext(
        run_id="r",
        principal=Principal("ann", {"token": "s3cret"}),
        metadata={"key": "s3cret"},
        deps="s3cret",
    )
    assert "ann" in repr(context)
    assert "s3cret" not in repr(context)


@pytest.mark.parametrize("cls", [RunFacts, RunContext, ToolContext])
def test_nobody_changes_them(cls: type[RunFacts]) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        cls().run_id = "other"  # type: ignore[misc]
