"""Language models."""

from .openai import OpenAIModel as OpenAIModel
