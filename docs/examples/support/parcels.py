"""An MCP server, such as a parcel service would have."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("parcels", log_level="ERROR")


@server.tool()
def track(parcel: str) -> str:
    """Tell where a parcel is."""
    return f"{parcel}: handed over on 2 May"


if __name__ == "__main__":
    server.run("stdio")
