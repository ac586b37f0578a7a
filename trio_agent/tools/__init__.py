"""What a model may call, and what it is told of the run."""

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
