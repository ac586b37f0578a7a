"""Models behind endpoints that speak Anthropic's Messages API, and the codec without I/O."""

# To read the source: `_model` asks, with what `_request` writes (`_files` what users say,
# `_thinking` whether it may be had, `_kept` what goes back as it came). `_messages` decodes the
# answer: `_event` to the letter, `_lenient` what else gateways send, `_blocks` its content.

from ._messages import MessagesDecoder as MessagesDecoder
from ._model import AnthropicModel as AnthropicModel
from ._request import encode_request as encode_request
