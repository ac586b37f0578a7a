"""What one run is to have of its own: options and limits over its agent's.

What is asked for is checked where it is given, and kept in its plain form: who repeats a request
has asked for the same, in whichever form it was written.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import msgspec

from .._config import AgentConfig
from .._limits import LIMIT_NAMES, Limits
from .._log.plain import is_deep
from ..models._parts import check_options
from ..tools._client_tool import ClientTool, client_tool_of, request_of


@attrs.frozen
class RunSettings:
    """Made by `read_settings`."""

    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False, validator=check_options)
    limits: Mapping[str, Any] = attrs.field(factory=dict)
    client_tools: tuple[ClientTool, ...] = ()
    """Tools that whoever asks has: they answer the calls."""

    def described(self) -> list[dict[str, Any]]:
        """Return the client's tools as `client_tool_of` reads them."""
        return list(map(request_of, self.client_tools))

    def over(self, agent: AgentConfig) -> AgentConfig:
        """Return the agent as it is to run.

        Raises:
            ValueError: a client's tool has the name of one of the agent's.
        """
        if not self.options and not self.limits and not self.client_tools:
            return agent
        return attrs.evolve(
            agent,
            options={**agent.options, **self.options},
            limits=attrs.evolve(agent.limits, **self.limits),
            tools=(*agent.tools, *self.client_tools),
        )


def read_settings(
    options: Mapping[str, Any] | None,
    limits: Limits | Mapping[str, Any] | None,
    client_tools: Iterable[ClientTool | Mapping[str, Any]] = (),
) -> RunSettings:
    """Check what a run is to have of its own.

    Raises:
        ValueError: an option is for the agent to set, or is no JSON; there is no such limit, or it
            can't have that value; a client's tool is none.
    """
    options = dict(options or {})
    try:
        if is_deep(options):
            raise ValueError("options are nested too deeply")
        msgspec.json.encode(options)
    except (TypeError, UnicodeEncodeError) as exc:
        raise ValueError(f"options are JSON, for the provider: {exc}") from None
    if isinstance(limits, Limits):
        limits = attrs.asdict(limits)
    tools = tuple(
        tool if isinstance(tool, ClientTool) else client_tool_of(tool) for tool in client_tools
    )
    if is_deep([tool.schema for tool in tools]):
        raise ValueError("the parameters of a client's tool are nested too deeply")
    return RunSettings(
        options, {name: _limit(name, value) for name, value in (limits or {}).items()}, tools
    )


def _limit(name: str, value: Any) -> Any:
    known = attrs.fields_dict(Limits)
    if name not in known:
        names = ", ".join(LIMIT_NAMES.values())
        raise ValueError(f"there is no limit {name!r}; there are: {names}")
    try:
        converted = msgspec.convert(value, known[name].type)
        Limits(**{name: converted})
    except (msgspec.ValidationError, ValueError) as exc:
        raise ValueError(f"the limit {name} can't be {value!r}: {exc}") from None
    return converted
