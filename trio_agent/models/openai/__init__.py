"""Models behind endpoints that speak OpenAI's Chat Completions, and the codec without I/O."""

# To read the source: `_model` asks, with what `_request` writes (`_content` what users say).
# `_chat` decodes the answer: `_chunk` to the letter, `_lenient` what else providers send, `_calls`
# whose piece a tool call's is. `_provider_state` is what goes back with it.

from ._chat import ChatDecoder as ChatDecoder
from ._model import OpenAIModel as OpenAIModel
from ._request import RequestForm as RequestForm, encode_request as encode_request
