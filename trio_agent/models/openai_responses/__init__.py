"""Models behind endpoints that speak OpenAI's Responses, and the codec without I/O."""

# To read the source: `_model` asks with what `_request` writes. `_decoder` takes the response:
# `_event` is one event of it, `_items` tells which item an event belongs to, `_output` and `_item`
# what is new in it. `_state` is what the provider wants back, and how it comes back.

from ._decoder import ResponsesDecoder as ResponsesDecoder
from ._model import OpenAIResponsesModel as OpenAIResponsesModel
from ._request import encode_request as encode_request
