"""Functions that a model may call."""

from ._context import Principal as Principal
from ._tool import Tool as Tool, tool as tool
