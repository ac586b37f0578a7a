"""Language models."""

from .anthropic import AnthropicModel as AnthropicModel
from .openai import OpenAIModel as OpenAIModel
