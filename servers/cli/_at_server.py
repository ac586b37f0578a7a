"""Where commands that talk to a server find it: at an URL, or started for them alone."""

import argparse
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from trio_agent.abc import Model
from trio_agent.client import Client, open_client

from ._files import MAX_BYTES
from ._options import PREFIX, origin
from ._server_process import open_server
from ._usage import UsageError

_IN_USE: Final = (
    "; the server of a chat that was closed in an answer has the file for 10 s more"
    f" ({PREFIX}GRACE): try again then; to a server that stays, talk with --url"
)


async def at_own_server(
    command: Callable[[Client], Awaitable[int]],
    model: Model | None,
    agents: Sequence[str],
    options: argparse.Namespace,
    store: str | None = None,
) -> int:
    """Do what a command does, with a server that is started for it.

    Arguments and errors as for `open_process`; `store` is as for ``--store``.
    """
    settings = {**own_settings(options), PREFIX + "STORE": store}
    async with open_server(
        model,
        agents=agents,
        settings=settings,
        verbose=options.verbose,
        hint=_IN_USE if store is not None and store.startswith("sqlite:") else "",
    ) as client:
        return await command(client)


def own_settings(options: argparse.Namespace) -> dict[str, str | None]:
    """Return what the environment of a server of our own is to say."""
    return {
        PREFIX + "MODEL": options.model,
        PREFIX + "BASE_URL": options.base_url,
        PREFIX + "GGUF": options.gguf,
        # Files go in base64.
        PREFIX + "MAX_BODY": f"{2 * MAX_BYTES >> 20}MiB",
        PREFIX + "LOG_LEVEL": logging.getLevelName(options.log_level),
    }


def refuse_own(options: argparse.Namespace) -> None:
    """See that nothing on the command line is for a server of our own, where ``--url`` is given.

    Raises:
        UsageError: something is, and nobody would look at it.
    """
    agents = [("--agent", name) for name in options.agent if ":" in name]
    store = "" if options.store == "memory" else options.store
    others = ("--store", store), ("--model", options.model), ("--base-url", options.base_url)
    for option, value in (*agents, *others, ("--gguf", options.gguf)):
        # What the environment says is for all commands.
        if value and origin(option, value) == option:
            raise _not_with_url(option, options.url)
    if options.verbose:
        raise _not_with_url("--verbose", options.url)


def _not_with_url(option: str, url: str) -> UsageError:
    hint = ": name one of its agents, by --agent NAME" if option == "--agent" else ""
    return UsageError(
        f"{option} is for a server that is started here, and {origin('--url', url)} names one that"
        f" runs: leave one of them out{hint}"
    )


async def at_server(
    command: Callable[[Client], Awaitable[int]], url: str, token: str | None
) -> int:
    """Do what a command does, with the server at an URL.

    Raises:
        UsageError: it can't be used.
    """
    async with open_client(url, token=token) as client:
        if (problem := await client.not_ready()) is not None:
            raise UsageError(f"{url} can't be used: {problem}")
        return await command(client)
