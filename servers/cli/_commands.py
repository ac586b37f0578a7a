"""What the subcommands do, given what the command line says."""

import argparse
import math
import os
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from trio_agent import Agent, Retention, Run, RuntimeLimits
from trio_agent.abc import Model
from trio_agent.client import Client

from .._shared.addresses import is_loopback
from .._shared.guard import LOOPBACK_HOSTS, Guard, bearer_tokens, one_bearer_token
from ._agents import DEFAULT_INSTRUCTIONS, find_model, load_agents
from ._at_server import at_own_server, at_server, own_settings, refuse_own
from ._batch import BatchOptions, batch
from ._chat import chat
from ._demo import AGENT as DEMO_AGENT, demo
from ._demo_kill import AGENT as KILL_AGENT, demo_kill
from ._files import read_files
from ._options import PREFIX
from ._serve import ServeOptions, serve
from ._server_process import OWN_TOKEN, ServerProcess, open_process
from ._show import show_run
from ._stores import list_runs, list_threads, make_store
from ._tell import tell_at, tell_in
from ._usage import UsageError

_DEFAULT_AGENT: Final = "default"


def run_serve(options: argparse.Namespace) -> int:
    """Serve agents until a signal."""
    guard = _guard(options, os.environ)
    store = make_store(options.store, lease=options.lease)
    serve_options = ServeOptions(
        agents=_agents(options),
        store=store,
        host=options.host,
        port=options.port,
        ws_port=options.ws_port,
        guard=guard,
        limits=RuntimeLimits(
            max_streams=options.max_streams,
            max_log_bytes=options.max_log_bytes,
            max_blob_bytes=options.max_blob_bytes,
            max_thread_bytes=options.max_thread_bytes,
            retention=_retention(options, durable=store.durable),
            store_patience=options.store_patience,
        ),
        on_disconnect=options.on_disconnect,
        allow_options=options.allow_option,
        allow_limits=options.allow_limit,
        allow_client_tools=options.allow_client_tools,
        grace=options.grace,
        heartbeat=options.heartbeat,
        keep_alive=options.keep_alive,
        max_body=options.max_body,
        max_connections=options.max_connections,
        root_path=options.root_path,
    )
    trio.run(serve, serve_options)
    return 0


def run_batch(options: argparse.Namespace) -> int:
    """Run an agent over the lines of a file."""
    agents = _agents(options)
    if len(agents) != 1:
        raise UsageError("batch takes one agent: name it with --agent MODULE:ATTRIBUTE")
    batch_options = BatchOptions(
        agent=agents[0],
        prompts=Path(options.prompts),
        out=Path(options.out),
        concurrency=options.concurrency,
        deadline=options.deadline,
        store=make_store(options.store),
        retry_failed=options.retry_failed,
    )
    return trio.run(batch, batch_options)


def run_runs(options: argparse.Namespace) -> int:
    """List the runs of a store."""
    store = make_store(options.store, follow=True)
    return trio.run(partial(list_runs, store, owner=options.owner, thread=options.thread))


def run_threads(options: argparse.Namespace) -> int:
    """List the threads of a store."""
    return trio.run(list_threads, make_store(options.store, follow=True), options.owner)


def run_show(options: argparse.Namespace) -> int:
    """Print a run of a store, and follow it."""
    store = make_store(options.store, follow=True)
    return trio.run(partial(show_run, store, options.run, as_json=options.json))


def run_answer(options: argparse.Namespace) -> int:
    """Answer a call that waits."""
    answer: dict[str, Any] = {
        "approved": options.approved,
        "output": options.output,
        "reason": options.reason,
    }
    return _tell(
        options,
        lambda client: client.answer(options.run, options.call, **answer),
        lambda run: run.answer(options.call, **answer),
    )


def run_say(options: argparse.Namespace) -> int:
    """Tell a run something while it is under way."""
    return _tell(
        options,
        lambda client: client.say(options.run, options.text),
        lambda run: run.say(options.text),
    )


def _tell(
    options: argparse.Namespace,
    client: Callable[[Client], Awaitable[None]],
    run: Callable[[Run[Any]], Awaitable[None]],
) -> int:
    if options.url is not None:
        return trio.run(tell_at, options.url, os.environ.get(PREFIX + "TOKEN"), client)
    if options.store is None:
        raise UsageError("say where the run is: --url of its server, or --store")
    return trio.run(tell_in, make_store(options.store, follow=True), options.run, run)


def _agents(options: argparse.Namespace) -> list[Agent]:
    if options.agent:
        return load_agents(options.agent)
    return [Agent(name=_DEFAULT_AGENT, instructions=DEFAULT_INSTRUCTIONS, model=_model(options))]


def _model(options: argparse.Namespace) -> Model:
    return find_model(name=options.model, base_url=options.base_url, gguf=options.gguf)


def _retention(options: argparse.Namespace, *, durable: bool) -> Retention | None:
    given = {
        "seconds": options.retention,
        "max_bytes": options.retention_bytes,
        "owner_bytes": options.retention_owner_bytes,
        "thread_seconds": options.retention,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return None
    if durable:
        # Who bounds one thing has not asked for the bounds of a memory.
        given = {"seconds": math.inf, "max_runs": math.inf, "max_bytes": math.inf} | given
    return Retention(**given)


def _guard(options: argparse.Namespace, environment: MutableMapping[str, str]) -> Guard:
    guard = Guard(
        hosts=[*LOOPBACK_HOSTS, *options.allow_host],
        origins=options.allow_origin,
        headers=options.allow_header,
    )
    # It is for this process, and not for what that starts.
    if own := environment.pop(OWN_TOKEN, ""):
        return attrs.evolve(guard, authorize=one_bearer_token(own))
    tokens = _tokens(environment.get(PREFIX + "TOKENS", ""))
    if tokens:
        return attrs.evolve(guard, authorize=bearer_tokens(tokens))
    if not is_loopback(options.host):
        raise UsageError(
            f"without tokens only loopback addresses can be bound, not {options.host!r}:"
            f" set {PREFIX}TOKENS to name:token pairs, separated by spaces"
        )
    return guard


def _tokens(text: str) -> dict[str, str]:
    tokens: dict[str, str] = {}
    for pair in text.split():
        name, _, token = pair.partition(":")
        if not name or len(token) < 16:
            raise UsageError(
                f"{PREFIX}TOKENS has name:token pairs, separated by spaces;"
                " a token has 16 characters at least"
            )
        if name in tokens:
            raise UsageError(f"{PREFIX}TOKENS has two tokens for {name!r}: a name has one")
        tokens[name] = token
    return tokens


def run_demo(options: argparse.Namespace) -> int:
    """Show a run being cut off and resumed, or one that outlives its server."""
    if not options.kill:
        return trio.run(at_own_server, demo, _model(options), [DEMO_AGENT], options)

    def open_server(port: int, store: str) -> AbstractAsyncContextManager[ServerProcess]:
        settings = {**own_settings(options), PREFIX + "STORE": store}
        return open_process(
            _model(options),
            agents=[KILL_AGENT],
            port=port,
            settings=settings,
            verbose=options.verbose,
        )

    return trio.run(partial(demo_kill, open_server, ask=options.ask))


def run_chat(options: argparse.Namespace) -> int:
    """Talk in the terminal."""
    # A name has no colon, as a module with its attribute has one.
    agents = [name for name in options.agent if ":" in name]
    names = [name for name in options.agent if ":" not in name]
    if len(names) > 1:
        raise UsageError(f"chat talks to one agent: name {names[0]!r} or {names[1]!r}")
    if options.url is not None:
        refuse_own(options)
    elif names and not agents and names != [_DEFAULT_AGENT]:
        raise UsageError(
            f"--agent {names[0]}: the server that is started here has one agent,"
            f" {_DEFAULT_AGENT!r}; give it others by --agent MODULE:ATTRIBUTE"
        )
    command = partial(
        chat,
        thread=options.thread,
        agent=names[0] if names else None,
        files=read_files(options.file),
        stays=options.url is not None or make_store(options.store).durable,
    )
    if options.url is not None:
        return trio.run(at_server, command, options.url, os.environ.get(PREFIX + "TOKEN"))
    model = None if agents else _model(options)
    return trio.run(at_own_server, command, model, agents, options, options.store)
