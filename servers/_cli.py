"""The command `trio-agent`."""

import argparse
import ipaddress
import logging
import math
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs
import trio

from trio_agent import Agent, CancelAfter, OnDisconnect, RuntimeLimits
from trio_agent.abc import Model, Retention
from trio_agent.client import Client, open_client
from trio_agent.local import LocalModelUnavailable

from ._agents import DEFAULT_INSTRUCTIONS, find_model, load_agents
from ._chat import chat
from ._demo import AGENT as DEMO_AGENT, demo
from ._guard import LOOPBACK_HOSTS, Guard, bearer_tokens
from ._serve import ServeOptions, serve
from ._server_process import open_server
from ._usage import UsageError

_PREFIX: Final = "TRIO_AGENT_"
_UNITS: Final = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}

T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; ends the process with status 0, 1 (it failed) or 2 (wrong usage)."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    parser = _parser()
    try:
        options = parser.parse_args(argv)
        sys.exit(options.command(options))
    except (UsageError, LocalModelUnavailable) as exc:
        print(f"trio-agent: error: {exc}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trio-agent",
        description="Streaming agents for Trio.",
        epilog=f"Every option can be given as {_PREFIX}NAME in the environment, too.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="serve agents over HTTP"))
    _add_chat(commands.add_parser("chat", help="talk to an agent in the terminal"))
    _add_demo(commands.add_parser("demo", help="see a run being cut off and resumed"))
    return parser


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    _add(parser, "--model", metavar="NAME", help="model at the OpenAI-compatible endpoint")
    _add(parser, "--gguf", metavar="PATH", help="run this GGUF file on this machine")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    _add(parser, "--host", default="127.0.0.1", help="address to bind (default: 127.0.0.1)")
    _add(parser, "--port", type=_port, default="8000", help="0 for a free one (default: 8000)")
    parser.add_argument(
        "--agent",
        action="append",
        default=_environment("--agent", "").split(),
        metavar="MODULE:ATTRIBUTE",
        help="an Agent or a list of them; can be repeated (default: one called 'default')",
    )
    _add_model_options(parser)
    _add(
        parser,
        "--on-disconnect",
        type=_policy,
        default="continue",
        metavar="continue|cancel|SECONDS",
        help="what becomes of a run that nobody watches (default: continue)",
    )
    _add(parser, "--max-streams", type=_count, default="1000", help="active runs (default: 1000)")
    _add(
        parser,
        "--max-log-bytes",
        type=_size,
        default="64MiB",
        metavar="BYTES",
        help="one run's log (default: 64MiB)",
    )
    _add(
        parser,
        "--grace",
        type=_seconds,
        default="10",
        metavar="SECONDS",
        help="that runs may go on after SIGTERM (default: 10)",
    )
    _add(
        parser,
        "--retention",
        type=_seconds,
        default="300",
        metavar="SECONDS",
        help="that finished runs are kept (default: 300)",
    )
    for option, what in (("--allow-host", "Host"), ("--allow-origin", "Origin")):
        parser.add_argument(
            option,
            action="append",
            default=_environment(option, "").split(),
            metavar="NAME",
            help=f"accept this {what}, too; can be repeated",
        )
    parser.set_defaults(command=_serve)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    _add_model_options(parser)
    parser.set_defaults(command=_demo)


def _add_chat(parser: argparse.ArgumentParser) -> None:
    _add(
        parser,
        "--url",
        help=f"of a running server (default: one is started); its token in {_PREFIX}TOKEN",
    )
    _add_model_options(parser)
    parser.set_defaults(command=_chat)


def _add(parser: argparse.ArgumentParser, option: str, **settings: Any) -> None:
    default = _environment(option, settings.pop("default", None))
    parser.add_argument(option, default=default, **settings)


def _environment(option: str, default: Any) -> Any:
    # argparse converts a text default as if it had been given.
    return os.environ.get(_PREFIX + option.strip("-").replace("-", "_").upper()) or default


def _serve(options: argparse.Namespace) -> int:
    guard = _guard(options, os.environ)
    if options.agent:
        agents = load_agents(options.agent)
    else:
        model = find_model(name=options.model, gguf=options.gguf)
        agents = [Agent(name="default", instructions=DEFAULT_INSTRUCTIONS, model=model)]
    serve_options = ServeOptions(
        agents=agents,
        host=options.host,
        port=options.port,
        guard=guard,
        limits=RuntimeLimits(
            max_streams=options.max_streams,
            max_log_bytes=options.max_log_bytes,
            retention=Retention(seconds=options.retention),
        ),
        on_disconnect=options.on_disconnect,
        grace=options.grace,
    )
    trio.run(serve, serve_options)
    return 0


def _guard(options: argparse.Namespace, environment: Mapping[str, str]) -> Guard:
    guard = Guard(hosts=[*LOOPBACK_HOSTS, *options.allow_host], origins=options.allow_origin)
    tokens = _tokens(environment.get(_PREFIX + "TOKENS", ""))
    if tokens:
        return attrs.evolve(guard, authorize=bearer_tokens(tokens))
    if not _is_loopback(options.host):
        raise UsageError(
            f"without tokens only loopback addresses can be bound, not {options.host!r}:"
            f" set {_PREFIX}TOKENS to name:token pairs, separated by spaces"
        )
    return guard


def _tokens(text: str) -> dict[str, str]:
    tokens: dict[str, str] = {}
    for pair in text.split():
        name, _, token = pair.partition(":")
        if not name or len(token) < 16:
            raise UsageError(
                f"{_PREFIX}TOKENS has name:token pairs, separated by spaces;"
                " a token has 16 characters at least"
            )
        tokens[name] = token
    return tokens


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _demo(options: argparse.Namespace) -> int:
    model = find_model(name=options.model, gguf=options.gguf)
    return trio.run(_with_own_server, demo, model, DEMO_AGENT, options)


def _chat(options: argparse.Namespace) -> int:
    if options.url is None:
        model = find_model(name=options.model, gguf=options.gguf)
        return trio.run(_with_own_server, chat, model, None, options)
    return trio.run(_with_server, chat, options.url, os.environ.get(_PREFIX + "TOKEN"))


async def _with_own_server(
    command: Callable[[Client], Awaitable[int]],
    model: Model,
    agent: str | None,
    options: argparse.Namespace,
) -> int:
    settings = {_PREFIX + "MODEL": options.model, _PREFIX + "GGUF": options.gguf}
    async with open_server(model, agent=agent, settings=settings) as client:
        return await command(client)


async def _with_server(
    command: Callable[[Client], Awaitable[int]], url: str, token: str | None
) -> int:
    async with open_client(url, token=token) as client:
        if (problem := await client.not_ready()) is not None:
            raise UsageError(f"{url} can't be used: {problem}")
        return await command(client)


def _converter(what: str) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    def wrap(convert: Callable[[str], T]) -> Callable[[str], T]:
        def converter(text: str) -> T:
            try:
                return convert(text)
            except ValueError:
                raise argparse.ArgumentTypeError(f"{text!r} is not {what}") from None

        return converter

    return wrap


@_converter("a port, 0 to 65535")
def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


@_converter("a number of seconds")
def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


@_converter("a whole number from 1")
def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


@_converter("a size such as 64MiB, 1024 bytes at least")
def _size(text: str) -> int:
    number = text.rstrip("KMGIBkmgib")
    size = int(number) * _UNITS.get(text[len(number) :].upper(), 0)
    if size < 1024:
        raise ValueError
    return size


@_converter("continue, cancel or a number of seconds")
def _policy(text: str) -> OnDisconnect:
    match text:
        case "continue" | "cancel":
            return text
    return CancelAfter(_seconds(text))
