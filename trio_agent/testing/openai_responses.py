"""A scripted provider of OpenAI's Responses on a real socket, and the steps of its scripts.

``async with open_scripted_responses([[text("Hi"), finish()]]) as server`` answers the first request
with the first script; `server.base_url` is what `OpenAIResponsesModel` wants. A request that the
API would refuse is refused in its words. What goes wrong between providers and clients has steps,
too: `cut`, `hang`, `status`, `failed`, raw bytes.
"""

from ._scripted_responses import (
    Piece as Piece,
    ResponseAnswer as ResponseAnswer,
    ResponseScript as ResponseScript,
    ResponseStep as ResponseStep,
    error as error,
    event as event,
    failed as failed,
    finish as finish,
    incomplete as incomplete,
    item as item,
    open_scripted_responses as open_scripted_responses,
    output as output,
    reasoning as reasoning,
    refusal as refusal,
    serve_scripted_responses as serve_scripted_responses,
    text as text,
    tokens as tokens,
    tool_call as tool_call,
)
from ._scripted_server import (
    RecordedRequest as RecordedRequest,
    ScriptedServer as ScriptedServer,
    Step as Step,
    cut as cut,
    end as end,
    hang as hang,
    pause as pause,
    sleep as sleep,
    status as status,
)
