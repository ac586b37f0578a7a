"""What tests of OpenAI's models share: a model with a scripted server behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from model_kit import Emitted

from trio_agent._errors import ModelError
from trio_agent._messages import UserMessage
from trio_agent.models._model import Model
from trio_agent.models._parts import ModelFinish, ModelPart, ModelRequest
from trio_agent.models.openai._model import OpenAIModel
from trio_agent.testing import openai as scripted
from trio_agent.testing.openai import ScriptedServer, open_scripted_openai

ASK = ModelRequest((UserMessage("Hi"),))
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


async def ask(*answer: scripted.Step, **config: Any) -> tuple[list[ModelPart], ModelFinish]:
    emitted = Emitted()
    async with opened(answer, **config) as (_, model):
        return emitted, await model.generate(ASK, emitted)


async def fail(*answer: scripted.Step, **config: Any) -> tuple[list[ModelPart], ModelError]:
    emitted = Emitted()
    async with opened(answer, **config) as (_, model):
        with pytest.raises(ModelError) as info:
            await model.generate(ASK, emitted)
    return emitted, info.value
