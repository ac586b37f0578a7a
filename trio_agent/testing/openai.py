"""A scripted OpenAI-compatible server on a real socket, and the steps of its scripts.

``async with open_scripted_openai([[text("Hi"), finish()]]) as server`` answers the first request
with the first script; `server.base_url` is what `OpenAIModel` wants. What goes wrong between
providers and clients has steps, too: `cut`, `hang`, `status`, raw bytes.
"""

from ._scripted_openai import (
    Answer as Answer,
    RecordedRequest as RecordedRequest,
    Script as Script,
    ScriptedOpenAI as ScriptedOpenAI,
    Step as Step,
    cut as cut,
    delta as delta,
    end as end,
    finish as finish,
    hang as hang,
    open_scripted_openai as open_scripted_openai,
    pause as pause,
    reasoning as reasoning,
    serve_scripted_openai as serve_scripted_openai,
    sleep as sleep,
    status as status,
    text as text,
    tokens as tokens,
    tool_call as tool_call,
    tool_fragment as tool_fragment,
    usage as usage,
)
