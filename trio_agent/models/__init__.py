"""Language models."""

from .anthropic import AnthropicModel as AnthropicModel
from .openai import OpenAIModel as OpenAIModel
from .openai_responses import OpenAIResponsesModel as OpenAIResponsesModel
