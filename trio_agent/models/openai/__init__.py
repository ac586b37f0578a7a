"""Models behind endpoints that speak OpenAI's Chat Completions, and the codec without I/O."""

from ._chat import ChatDecoder as ChatDecoder
from ._model import OpenAIModel as OpenAIModel
from ._request import RequestForm as RequestForm, encode_request as encode_request
