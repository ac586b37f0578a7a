"""Which way of asking for a shape suits an endpoint that speaks Anthropic's language. Pure.

Anthropic's own holds text to a schema with all models from 4.5 on, beside tools and with thinking,
if it is a schema that it can make a grammar of. Others are asked by a tool, which can't be forced
while a model thinks.

Sources: Anthropic's documentation, "Structured outputs" and "Extended thinking"; DeepSeek-V3#1376
for DeepSeek's Messages.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from .._parts import ModelRequest
from .._provider._output_mode import can_force as can_force_at, host_of
from .._provider._shape import OutputMode
from .._provider._strict_schema import ANTHROPIC
from ._thinking import is_off

_OURS: Final = "api.anthropic.com"
_NO_SCHEMA: Final = re.compile(r"claude-(?:instant|[123]|[a-z]+-4-(?:[01]|20\d{6})\b)")
"""Models from before there were schemas."""


def output_mode(origin: str, model: str, request: ModelRequest) -> OutputMode:
    """Return the mode that suits an endpoint."""
    if request.output is None or host_of(origin) != _OURS or _NO_SCHEMA.match(model):
        return "tool"
    return "tool" if ANTHROPIC.narrow(request.output.schema) is None else "schema"


def can_force(origin: str, options: Mapping[str, Any]) -> bool:
    """Whether the endpoint takes a request that forces a tool."""
    thinking = options.get("thinking")
    return (thinking is None or is_off(thinking)) and can_force_at(origin, options)
