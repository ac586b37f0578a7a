"""An MCP server made with the SDK, as a program: on stdio, or on HTTP with its port on stdout."""

import asyncio
import os
import socket
import sys

import anyio
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, EmbeddedResource, TextContent, TextResourceContents
from pydantic import BaseModel

server = MCPServer("kit", log_level="CRITICAL")
cancelled: dict[str, anyio.Event] = {}


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool(structured_output=False)
def shout(text: str) -> str:
    """Say it aloud."""
    return text.upper()


@server.tool(structured_output=False)
def big(size: int) -> str:
    """Say a lot."""
    return "x" * size


@server.tool()
def fail(why: str) -> str:
    """Fail."""
    raise ToolError(why)


@server.tool()
def picture() -> Image:
    """A picture."""
    return Image(data=b"0123456789", format="png")


@server.tool()
def letter() -> CallToolResult:
    """A text and a file of text."""
    text = TextResourceContents(uri="file:///letter.txt", text="Dear Ann")
    return CallToolResult(content=[TextContent(text="here:"), EmbeddedResource(resource=text)])


@server.tool(structured_output=False)
async def count(upto: int, context: Context) -> str:
    """Count, and say so."""
    for number in range(1, upto + 1):
        await context.report_progress(number, upto, f"at {number}")
    return "counted"


@server.tool(structured_output=False)
async def wait(mark: str, context: Context) -> str:
    """Wait to be cancelled."""
    event = cancelled.setdefault(mark, anyio.Event())
    await context.report_progress(0)
    try:
        await anyio.sleep_forever()
    finally:
        event.set()
    return "never"


@server.tool(structured_output=False)
async def was_cancelled(mark: str) -> str:
    """Wait until a `wait` was cancelled."""
    await cancelled.setdefault(mark, anyio.Event()).wait()
    return "yes"


@server.tool(structured_output=False)
async def grow(name: str, context: Context) -> str:
    """Have one tool more."""
    server.add_tool(add, name=name)
    await context.notify_tools_changed()
    return "grown"


class Answer(BaseModel):
    yes: bool


@server.tool(structured_output=False)
async def ask(context: Context) -> str:
    """Ask the person at the client."""
    return str(await context.elicit("Really?", Answer))


@server.tool(structured_output=False)
async def die(context: Context) -> str:
    """Die in the middle of a call."""
    await context.report_progress(0)
    os._exit(3)


@server.tool(structured_output=False)
def variable(name: str) -> str:
    """Read a variable of the environment."""
    return os.environ.get(name, "")


async def serve_http(port: int, *, json: bool) -> None:
    import uvicorn

    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.listen(256)
        print(sock.getsockname()[1], flush=True)
        app = server.streamable_http_app(json_response=json)
        config = uvicorn.Config(app, log_level="critical", lifespan="on")
        await uvicorn.Server(config).serve(sockets=[sock])


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        asyncio.run(serve_http(int(sys.argv[2]), json="json" in sys.argv))
    else:
        server.run("stdio")
