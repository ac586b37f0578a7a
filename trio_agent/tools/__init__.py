"""Functions that a model may call."""

from ._tool import Tool as Tool, tool as tool
