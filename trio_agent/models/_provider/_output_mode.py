"""Which way of asking for a shape suits an endpoint that speaks one of OpenAI's languages. Pure.

OpenAI holds text to a schema beside tools, all its models but the oldest. Elsewhere the grammar of
the schema keeps a model from calling tools, or both are refused (Gemini before 3, llama.cpp): there
is a schema only if there are no tools. Some have models that know no schema, or don't stream what
they hold to one, but all know tools.

Sources: OpenAI's guide "Structured Outputs"; DeepSeek's guide "JSON Output" and DeepSeek-V3#1376
(no forced tools while it thinks); eino#994 (nor with Qwen); Groq's "Structured Outputs";
Anthropic's "OpenAI SDK compatibility" (`response_format` is ignored); python-genai#867 for Gemini;
modelship#71 and Ollama's "Structured outputs" for llama.cpp.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from ._shape import OutputMode

_OPENAI: Final = "api.openai.com"
_BY_TOOL: Final = (
    *("api.deepseek.com", "api.groq.com", "openrouter.ai", "api.anthropic.com"),
    *("aliyuncs.com", "api.moonshot.ai", "api.moonshot.cn"),
)
"""Hosts, with what is below them, of which not all models know schemas."""
_UNFORCED: Final = ("api.deepseek.com", "aliyuncs.com", "api.moonshot.ai", "api.moonshot.cn")
"""Those that refuse to force a tool while a model thinks, which it does if nobody says no."""
_NO_SCHEMA: Final = re.compile(r"(?:ft:)?(?:gpt-3|gpt-4(?![o.])|gpt-4o-2024-05-13|chatgpt-)")
"""OpenAI's models from before there were schemas."""


def host_of(origin: str) -> str:
    """Return the host in the name of an endpoint, without its port."""
    return re.sub(r":\d+$", "", origin.partition("@")[2])


def output_mode(origin: str, model: str, *, has_tools: bool) -> OutputMode:
    """Return the mode that suits an endpoint.

    Args:
        origin: names it, as `Endpoint.origin` does.
        model: the model's name.
        has_tools: whether the request has any.
    """
    host = host_of(origin)
    if host == _OPENAI:
        return "tool" if _NO_SCHEMA.match(model) else "schema"
    return "tool" if has_tools or _is_below(host, _BY_TOOL) else "schema"


def shows_schema(origin: str) -> bool:
    """Whether the endpoint itself tells a model the schema that its answer is held to."""
    return host_of(origin) == _OPENAI


def can_force(origin: str, options: Mapping[str, Any]) -> bool:
    """Whether the endpoint takes a request that forces a tool."""
    thinking = options.get("thinking")
    is_off = isinstance(thinking, Mapping) and thinking.get("type") == "disabled"
    return is_off or not _is_below(host_of(origin), _UNFORCED)


def _is_below(host: str, hosts: tuple[str, ...]) -> bool:
    return any(host == each or host.endswith(f".{each}") for each in hosts)
