"""A scripted OpenAI-compatible server on a real socket, and the steps of its scripts.

``async with open_scripted_openai([[text("Hi"), finish()]]) as server`` answers the first request
with the first script; `server.base_url` is what `OpenAIModel` wants. What goes wrong between
providers and clients has steps, too: `cut`, `hang`, `status`, raw bytes. If it is `strict`, it
refuses what OpenAI refuses; by `wants_back`, what others refuse.
"""

from ._scripted_openai import (
    delta as delta,
    finish as finish,
    open_scripted_openai as open_scripted_openai,
    output as output,
    reasoning as reasoning,
    reasoning_details as reasoning_details,
    serve_scripted_openai as serve_scripted_openai,
    text as text,
    tokens as tokens,
    tool_call as tool_call,
    tool_fragment as tool_fragment,
    usage as usage,
)
from ._scripted_server import (
    Answer as Answer,
    RecordedRequest as RecordedRequest,
    Script as Script,
    ScriptedServer as ScriptedServer,
    Step as Step,
    cut as cut,
    end as end,
    hang as hang,
    pause as pause,
    sleep as sleep,
    status as status,
)
