"""Tools of MCP servers. Needs the extra `mcp`."""

# To read the source: `_server` is what is declared (`_where` is the way to it), `_open` the source
# while it is open. A `_connection` is one session with the server, over a `_process` or an
# `_endpoint`; `_inbound` sees what comes, `_result` says what a call returned. `_tool` is one
# tool, `_names` what the model calls it.

from ._server import MCPServer as MCPServer
