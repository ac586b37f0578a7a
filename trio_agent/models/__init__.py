"""Language models."""

from .openai import OpenAIModel as OpenAIModel
from .openai_responses import OpenAIResponsesModel as OpenAIResponsesModel
