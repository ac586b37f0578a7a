"""What tests of OpenAI's models share: a model with a scripted server behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from model_kit import Emitted, answer_of, failure_of

from trio_agent._errors import ModelError
from trio_agent.models._model import Model
from trio_agent.models._parts import ModelFinish
from trio_agent.models.openai._model import OpenAIModel
from trio_agent.testing import openai as scripted
from trio_agent.testing.openai import ScriptedServer, open_scripted_openai

STOPPED = ModelFinish("stop", model="m")


@asynccontextmanager
async def opened(
    *script: scripted.Answer, **config: Any
) -> AsyncIterator[tuple[ScriptedServer, Model]]:
    async with (
        open_scripted_openai(script, strict=True) as server,
        OpenAIModel("m", base_url=server.base_url, **config).open() as model,
    ):
        yield server, model


async def ask(*answer: scripted.Step, **config: Any) -> tuple[Emitted, ModelFinish]:
    return await answer_of(opened(answer, **config))


async def fail(*answer: scripted.Step, **config: Any) -> tuple[Emitted, ModelError]:
    return await failure_of(opened(answer, **config))
