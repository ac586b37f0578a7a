"""Language models."""

from ._fallback import FallbackModel as FallbackModel
from ._names import PREFIXES as PREFIXES, model_named as model_named
from .anthropic import AnthropicModel as AnthropicModel
from .openai import OpenAIModel as OpenAIModel
from .openai_responses import OpenAIResponsesModel as OpenAIResponsesModel
