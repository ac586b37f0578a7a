"""One tool of a server."""

from typing import Any

import pytest

pytest.importorskip("mcp", reason="pip install 'trio-agent[mcp]'")

from mcp_types import Tool as RemoteTool

from trio_agent import ToolError
from trio_agent.tools._context import ToolContext
from trio_agent.tools.mcp._tool import ServerTool

SCHEMA = {"properties": {"a": {"type": "integer"}}}


def remote(**more: Any) -> RemoteTool:
    declared = {"name": "add.it", "inputSchema": {"type": "object", **SCHEMA}, **more}
    return RemoteTool.model_validate(declared, by_name=False)


async def echo(name: str, arguments: dict[str, Any], context: ToolContext) -> Any:
    return name, arguments, context.call_id


@pytest.mark.parametrize(
    ("more", "description"),
    [
        ({"description": "Adds.", "title": "The adder"}, "Adds."),
        ({"title": "The adder"}, "The adder"),
        ({}, "add.it"),
    ],
)
def test_spec(more: dict[str, Any], description: str) -> None:
    spec = ServerTool("kit_add_it", remote(**more), echo).spec
    assert (spec.name, spec.description) == ("kit_add_it", description)
    assert spec.schema == {"type": "object", **SCHEMA}


@pytest.mark.parametrize(("given", "sent"), [({"a": 1}, {"a": 1}), (None, {}), ({}, {})])
async def test_call(given: Any, sent: Any) -> None:
    tool = ServerTool("kit_add_it", remote(), echo)
    assert await tool.call(given, ToolContext(call_id="c")) == ("add.it", sent, "c")


@pytest.mark.parametrize("given", ["{", [1], 3, True])
async def test_arguments_that_are_no_object(given: Any) -> None:
    with pytest.raises(ToolError, match="are a JSON object"):
        await ServerTool("kit_add_it", remote(), echo).call(given, ToolContext())


@pytest.mark.parametrize(
    ("approval", "given", "wants"),
    [
        (True, {"a": 1}, "approval"),
        (True, None, "approval"),
        (False, {"a": 1}, None),
        # The call is not made: there is nothing to allow.
        (True, "{", None),
        (True, [1], None),
    ],
)
def test_what_a_call_waits_for(approval: bool, given: Any, wants: str | None) -> None:
    tool = ServerTool("kit_add_it", remote(), echo, approval=approval)
    assert tool.may_wait is approval
    assert tool.wants(given, ToolContext()) == wants


def test_whether_a_call_may_be_made_twice() -> None:
    assert not ServerTool("kit_add_it", remote(), echo).retry_safe
    assert ServerTool("kit_add_it", remote(), echo, retry_safe=True).retry_safe
