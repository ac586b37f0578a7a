"""What comes from a server, seen in the order in which it comes."""

import anyio
import pytest

pytest.importorskip("mcp", reason="pip install 'trio-agent[mcp]'")

from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCResponse

from trio_agent.tools.mcp._inbound import Inbound


async def test_sees_all_and_passes_it_on() -> None:
    items = [
        SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="one")),
        ValueError("no message"),
        SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=1, result={})),
        SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="two")),
    ]
    sender, receiver = anyio.create_memory_object_stream[SessionMessage | Exception](len(items))
    with sender:
        for item in items:
            sender.send_nowait(item)
    seen: list[str] = []
    inbound = Inbound(receiver, lambda each: seen.append(each.method), lambda: seen.append("end"))
    async with inbound:
        got = [item async for item in inbound]
    assert got == items
    assert seen == ["one", "two", "end"]
    with pytest.raises(anyio.ClosedResourceError):
        await inbound.receive()
