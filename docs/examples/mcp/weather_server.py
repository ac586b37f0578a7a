from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("weather", log_level="ERROR")


@server.tool()
def forecast(city: str, days: int = 1) -> str:
    """Forecast the weather of a city."""
    return f"{city}: snow for {days} days"


@server.tool()
async def measure(city: str, context: Context) -> float:
    """Measure the temperature, which takes a while."""
    for station in range(1, 4):
        await context.report_progress(station, 3, f"station {station}")
    return -3.5


@server.tool()
def delete_everything() -> str:
    """Delete all measurements."""
    return "gone"


if __name__ == "__main__":
    server.run("stdio")
