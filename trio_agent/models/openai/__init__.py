"""Models behind endpoints that speak OpenAI's Chat Completions, and the codec without I/O."""

from ._chat import ChatDecoder as ChatDecoder, encode_request as encode_request
from ._model import OpenAIModel as OpenAIModel
