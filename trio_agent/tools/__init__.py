"""What a model may call, and what it is told of the run."""

from ._client_tool import (
    ClientTool as ClientTool,
    ask_user as ask_user,
    client_tool_of as client_tool_of,
)
from ._context import (
    Principal as Principal,
    RunContext as RunContext,
    RunFacts as RunFacts,
    ToolContext as ToolContext,
)
from ._contract import Tool as Tool
from ._function import FunctionTool as FunctionTool
from ._source import OpenTools as OpenTools, ToolSource as ToolSource
from ._tool import tool as tool
