"""What a client says to start a run, whatever the wire."""

from typing import Annotated, Any, Literal

import msgspec

from .messages import Said


class Start(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a client says to start a run."""

    prompt: str | None = None
    messages: tuple[Said, ...] = ()
    agent: str | None = None
    thread: str | None = None
    """The conversation that the run is a part of, by its name."""
    after: str | None = None
    """The run of the thread that it is to follow; "" to begin anew."""
    on_busy: Literal["reject", "cancel"] = "reject"
    """What is to be done where another run is active in the thread."""
    on_disconnect: Literal["continue", "cancel"] | Annotated[float, msgspec.Meta(ge=0)] | None = (
        None
    )
    metadata: dict[str, Any] = {}
    options: dict[str, Any] = {}
    limits: dict[str, int | float | None] = {}
    """By their names in JSON."""
    client_tools: tuple[dict[str, Any], ...] = ()
    """Those that the client has: it answers their calls."""
    retractable: bool = True
    """Whether all who read the run can take back what a step has said."""
