"""The command `trio-agent`."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

import msgspec

from trio_agent import __version__

from . import _commands as commands, _converters as converters
from ._agents import DEFAULT_BASE_URL, DEFAULT_MODEL, PROVIDERS
from ._ending import prepare_streams, status_of
from ._logs import add_log_option, start_logging
from ._options import PREFIX, add_option, add_repeatable
from ._usage import UsageError


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; ends the process with a status of `_ending`."""
    prepare_streams()
    start_logging()
    sys.exit(status_of(partial(_run, argv)))


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    _complete(parser)
    options = parser.parse_args(argv)
    start_logging(options.log_level)
    status: int = options.command(options)
    return status


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how a line may go on, if the extra `completion` is installed."""
    if "_ARGCOMPLETE" in os.environ:
        try:
            import argcomplete
        except ImportError:
            return
        argcomplete.autocomplete(parser)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="trio-agent",
        description="Streaming agents for Trio.",
        epilog=f"Options with a value can be given as {PREFIX}NAME in the environment, too, but"
        " for --out and --file.",
    )
    parser.add_argument("--version", action="version", version=f"trio-agent {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text, add in (
        ("serve", "serve agents over HTTP and WebSocket", _add_serve),
        ("chat", "talk to an agent in the terminal", _add_chat),
        ("batch", "run an agent over the lines of a file", _add_batch),
        ("runs", "list the runs of a store", _add_runs),
        ("threads", "list the threads of a store: conversations", _add_threads),
        ("show", "print a run of a store, and follow it", _add_show),
        ("answer", "answer a call of a run that waits", _add_answer),
        ("say", "tell a run something while it is under way", _add_say),
        ("demo", "see a run being cut off and resumed", _add_demo),
    ):
        subparser = subparsers.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        add(subparser)
        add_log_option(subparser)
    return parser


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    text = f"at the OpenAI-compatible endpoint, or PROVIDER:NAME ({PROVIDERS}), which reads that"
    text += f" provider's own variables (default: OPENAI_MODEL, or else {DEFAULT_MODEL})"
    add_option(parser, "--model", metavar="NAME", help=text)
    text = "the endpoint, which speaks the language of the model's PROVIDER (default:"
    text += f" OPENAI_BASE_URL, or else {DEFAULT_BASE_URL} with a key)"
    add_option(parser, "--base-url", type=converters.endpoint_url, metavar="URL", help=text)
    add_option(parser, "--gguf", metavar="PATH", help="run this GGUF file on this machine")


def _add_own_server_options(parser: argparse.ArgumentParser) -> None:
    _add_model_options(parser)
    text = "show what the server that is started says, even if nothing fails"
    parser.add_argument("--verbose", action="store_true", help=text)


def _add_agent_options(parser: argparse.ArgumentParser) -> None:
    text = "an Agent or a list of them; can be repeated (default: one called 'default')"
    add_repeatable(parser, "--agent", metavar="MODULE:ATTRIBUTE", help=text)
    _add_model_options(parser)


def _add_store_option(parser: argparse.ArgumentParser, default: str | None) -> None:
    text = "sqlite:PATH or valkey://HOST:PORT"
    if default is not None:
        text = f"{default}, {text} (default: {default})"
    add_option(parser, "--store", default=default, required=default is None, help=text)


def _add_serve(parser: argparse.ArgumentParser) -> None:
    for option, convert, default, metavar, text in (
        ("--host", str, "127.0.0.1", None, "address to bind"),
        ("--port", converters.port, "8000", None, "0 for a free one"),
        (
            "--on-disconnect",
            converters.policy,
            "continue",
            "continue|cancel|SECONDS",
            "what becomes of a run that nobody watches",
        ),
        ("--max-streams", converters.count, "1000", "N", "active runs"),
        ("--max-log-bytes", converters.size, "64MiB", "BYTES", "one run's log"),
        ("--grace", converters.seconds, "10", "SECONDS", "that runs may go on after SIGTERM"),
        (
            "--heartbeat",
            converters.interval,
            "15",
            "SECONDS",
            "of silence after which a stream says that it is there; less than what proxies wait",
        ),
        (
            "--keep-alive",
            converters.interval,
            "75",
            "SECONDS",
            "that connections may idle; more than load balancers keep theirs",
        ),
        ("--max-blob-bytes", converters.size, "32MiB", "BYTES", "one run's files"),
        ("--max-body", converters.size, "8MiB", "BYTES", "a request's body or message"),
        ("--max-connections", converters.count, "10000", "N", "open connections"),
        (
            "--max-thread-bytes",
            converters.size,
            "64MiB",
            "BYTES",
            "what was said in a thread before a run",
        ),
        ("--store-patience", converters.seconds, "5", "SECONDS", "that the store may be away"),
    ):
        text += f" (default: {default})"
        add_option(parser, option, type=convert, default=default, metavar=metavar, help=text)
    for option, convert, metavar, text in (
        (
            "--retention",
            converters.age,
            "SECONDS|7d|12h|inf",
            "of finished runs and idle threads (default: 300 in memory, else inf; threads: inf)",
        ),
        (
            "--retention-bytes",
            converters.size,
            "BYTES",
            "of finished runs and of threads that are kept (default: 1GiB in memory, else all)",
        ),
        (
            "--retention-owner-bytes",
            converters.size,
            "BYTES",
            "of one owner's finished runs and threads that are kept, such as 10G (default: all)",
        ),
    ):
        add_option(parser, option, type=convert, metavar=metavar, help=text)
    _add_agent_options(parser)
    _add_store_option(parser, "memory")
    text = "serve WebSocket there, too (default: not at all)"
    add_option(parser, "--ws-port", type=converters.port, metavar="PORT", help=text)
    text = "after which a run of a dead process is closed in Valkey (default: 10)"
    add_option(parser, "--lease", type=converters.lease, default="10", metavar="SECONDS", help=text)
    text = "at which a proxy shows the server; links begin with it (default: /)"
    add_option(parser, "--root-path", type=converters.path, default="/", metavar="PATH", help=text)
    for option, what in (
        ("--allow-host", "this Host"),
        ("--allow-origin", "this Origin"),
        ("--allow-header", "this header of pages of such origins"),
        ("--allow-option", "this option of the model in requests, such as temperature"),
        ("--allow-limit", "this limit in requests if it is lower, such as maxTokens"),
    ):
        text = f"accept {what}, too; can be repeated"
        add_repeatable(parser, option, metavar="NAME", help=text)
    text = "accept tools of clients in requests, whose calls they answer"
    parser.add_argument("--allow-client-tools", action="store_true", help=text)
    parser.set_defaults(command=commands.run_serve)


def _add_chat(parser: argparse.ArgumentParser) -> None:
    text = f"of a running server (default: one is started); its token in {PREFIX}TOKEN"
    add_option(parser, "--url", type=converters.server_url, help=text)
    text = "a file for the model, such as a picture, with what is said first; can be repeated"
    parser.add_argument("--file", action="append", default=[], metavar="PATH", help=text)
    text = "of the conversation, which goes on if there is one (default: a new one)"
    add_option(parser, "--thread", metavar="NAME", help=text)
    text = "agents of the server that is started, or the NAME of the one of a server's agents"
    text += " that you talk to; can be repeated (default: one called 'default')"
    add_repeatable(parser, "--agent", metavar="MODULE:ATTRIBUTE|NAME", help=text)
    _add_store_option(parser, "memory")
    _add_own_server_options(parser)
    parser.set_defaults(command=commands.run_chat)


def _add_batch(parser: argparse.ArgumentParser) -> None:
    text = 'lines of JSON: "text", [messages], {"prompt": "text"} or {"messages": [...]}; the'
    text += ' latter two may have an "id"'
    parser.add_argument("prompts", help=text)
    text = "results are appended here, a line of JSON each, as they come: index, input (a hash),"
    text += " agent (a hash), model, id, runId, status (a finish reason or error), text, steps,"
    text += " usage, seconds, ttft, startedAt, endedAt, error"
    parser.add_argument("--out", required=True, help=text)
    text = "runs at one time (default: 8)"
    add_option(parser, "--concurrency", type=converters.count, default="8", metavar="N", help=text)
    text = "for each run, which then finishes with timeout"
    add_option(parser, "--deadline", type=converters.seconds, metavar="SECONDS", help=text)
    text = "run inputs again whose last result is anything but stop"
    parser.add_argument("--retry-failed", action="store_true", help=text)
    _add_agent_options(parser)
    _add_store_option(parser, "memory")
    parser.set_defaults(command=commands.run_batch)


def _add_owner_option(parser: argparse.ArgumentParser, default: str) -> None:
    text = f"of this principal (default: {default})"
    add_option(parser, "--owner", metavar="NAME", help=text)


def _add_threads(parser: argparse.ArgumentParser) -> None:
    _add_store_option(parser, None)
    _add_owner_option(parser, "of nobody")
    parser.set_defaults(command=commands.run_threads)


def _add_runs(parser: argparse.ArgumentParser) -> None:
    _add_store_option(parser, None)
    _add_owner_option(parser, "of all; with --thread of nobody")
    text = "of this thread only"
    add_option(parser, "--thread", metavar="NAME", help=text)
    parser.set_defaults(command=commands.run_runs)


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="its id")
    parser.add_argument("--json", action="store_true", help="print the events as lines of JSON")
    _add_store_option(parser, None)
    parser.set_defaults(command=commands.run_show)


def _add_place_options(parser: argparse.ArgumentParser) -> None:
    text = f"of the server that has the run; its token in {PREFIX}TOKEN"
    add_option(parser, "--url", type=converters.server_url, help=text)
    text = "that has the run, if no --url is given: sqlite:PATH or valkey://HOST:PORT"
    add_option(parser, "--store", help=text)


def _add_answer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="its id")
    parser.add_argument("call", help="the id of the call")
    what = parser.add_mutually_exclusive_group(required=True)
    text = "the call is to be made"
    what.add_argument("--approve", action="store_true", dest="approved", default=None, help=text)
    text = "the call is not to be made, or there is no result for it"
    what.add_argument("--deny", action="store_false", dest="approved", default=None, help=text)
    text = "the result, of a call that waits for one"
    convert, unset = converters.json_value, msgspec.UNSET
    what.add_argument("--output", type=convert, default=unset, metavar="JSON", help=text)
    parser.add_argument("--reason", metavar="TEXT", help="why, for the model")
    _add_place_options(parser)
    parser.set_defaults(command=commands.run_answer)


def _add_say(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="its id")
    parser.add_argument("text", help="what the model reads before its next step")
    _add_place_options(parser)
    parser.set_defaults(command=commands.run_say)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    text = "kill the run's server with SIGKILL, twice: the run goes on, the viewer misses nothing"
    parser.add_argument("--kill", action="store_true", help=text)
    text = "with --kill: ask you for the approval that the run waits for"
    parser.add_argument("--ask", action="store_true", help=text)
    _add_own_server_options(parser)
    parser.set_defaults(command=commands.run_demo)
