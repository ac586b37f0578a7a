"""Models behind endpoints that speak OpenAI's Chat Completions."""

from ._model import OpenAIModel as OpenAIModel
