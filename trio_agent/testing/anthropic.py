"""A scripted server that speaks Anthropic's Messages API, and the steps of its scripts.

``async with open_scripted_anthropic([[text("Hi"), finish()]]) as server`` answers the first
request with the first script; `server.base_url` is what `AnthropicModel` wants. It refuses what
the real API refuses. What goes wrong between providers and clients has steps, too: `cut`, `hang`,
`status`, `refuse`, `error`, raw bytes.
"""

from ._scripted_anthropic import (
    Answer as Answer,
    Block as Block,
    Script as Script,
    Step as Step,
    block as block,
    error as error,
    event as event,
    finish as finish,
    open_scripted_anthropic as open_scripted_anthropic,
    output as output,
    ping as ping,
    redacted_thinking as redacted_thinking,
    refuse as refuse,
    serve_scripted_anthropic as serve_scripted_anthropic,
    start as start,
    text as text,
    thinking as thinking,
    tokens as tokens,
    tool_use as tool_use,
)
from ._scripted_server import (
    RecordedRequest as RecordedRequest,
    ScriptedServer as ScriptedServer,
    cut as cut,
    end as end,
    hang as hang,
    pause as pause,
    sleep as sleep,
    status as status,
)
