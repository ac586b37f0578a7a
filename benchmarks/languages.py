"""What the benchmarks know of each language of models: its provider, its model, its raw form."""

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import attrs

from trio_agent.abc import Model
from trio_agent.models import AnthropicModel, OpenAIModel, OpenAIResponsesModel
from trio_agent.testing import anthropic, openai, openai_responses as responses
from trio_agent.testing.openai import RecordedRequest

TOKENS = 200
"""Words of each answer."""


@attrs.frozen(kw_only=True)
class Language:
    """One of them."""

    serve: Callable[..., Awaitable[None]]
    """Serves its scripted provider."""
    answer: Callable[[float | None], Any]
    """Says `TOKENS` words, so many per second, or as fast as it can."""
    model: Callable[..., Model]
    """Makes the model of a `base_url`."""
    path: str
    headers: Mapping[str, str]
    request: Callable[[str], Any]
    """Makes the body of a request."""
    marker: bytes
    """What occurs once per token in its stream."""

    def reply(self, request: RecordedRequest) -> Any:
        """Answer at the rate that the last message asks for; 0: as fast as the socket takes it."""
        said = request.body.get("messages") or request.body["input"]
        content = said[-1]["content"]
        rate = float(content if isinstance(content, str) else content[-1]["text"])
        return self.answer(rate or None)


def _message(prompt: str) -> dict[str, str]:
    return {"role": "user", "content": prompt}


def _chat_request(prompt: str) -> Any:
    return {"model": "scripted", "messages": [_message(prompt)], "stream": True}


def _responses_request(prompt: str) -> Any:
    return {"model": "scripted", "input": [_message(prompt)], "stream": True}


LANGUAGES: Mapping[str, Language] = {
    "openai": Language(
        serve=openai.serve_scripted_openai,
        answer=lambda rate: [
            openai.tokens(TOKENS, rate=rate),
            openai.finish(),
            openai.usage(1, TOKENS),
        ],
        model=partial(OpenAIModel, "scripted", api_key="none"),
        path="/chat/completions",
        headers={},
        request=_chat_request,
        marker=b'"content": "word',
    ),
    "anthropic": Language(
        serve=anthropic.serve_scripted_anthropic,
        answer=lambda rate: [anthropic.tokens(TOKENS, rate=rate), anthropic.finish()],
        model=partial(AnthropicModel, "scripted", api_key="none"),
        path="/v1/messages",
        headers={"anthropic-version": "2023-06-01", "x-api-key": "none"},
        request=lambda prompt: {**_chat_request(prompt), "max_tokens": 1000},
        marker=b'"text": "word',
    ),
    "openai-responses": Language(
        serve=responses.serve_scripted_responses,
        answer=lambda rate: [responses.tokens(TOKENS, rate=rate), responses.finish()],
        model=partial(OpenAIResponsesModel, "scripted", api_key="none"),
        path="/responses",
        headers={},
        request=_responses_request,
        marker=b'"delta": "word',
    ),
}


def encoded(language: Language, prompt: str) -> bytes:
    """Return the body of a raw request."""
    return json.dumps(language.request(prompt)).encode()
