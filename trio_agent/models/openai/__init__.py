"""Models behind endpoints that speak OpenAI's Chat Completions, and the codec without I/O."""

# To read the source: `_model` asks, with what `_endpoint` and `_request` write, and `_answer` takes
# the response. `_chat` decodes it: `_chunk` to the letter, `_lenient` and `_odd_event` what else
# providers send, `_calls` whose piece a tool call's is. `_errors` names what went wrong.

from ._chat import ChatDecoder as ChatDecoder
from ._model import OpenAIModel as OpenAIModel
from ._request import RequestForm as RequestForm, encode_request as encode_request
