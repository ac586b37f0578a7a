"""What is kept of a run for whoever goes on with it: beside its log, and on no wire."""

import hashlib
import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import attrs
import msgspec

from .._config import AgentConfig
from .._limits import CancelAfter, Limits, OnDisconnect
from .._log.plain import UNREADABLE, is_deep
from .._log.run_info import RunRecord
from .._log.store import Store
from .._messages import AnyMessage, AssistantMessage
from ..tools._client_tool import client_tool_of
from ..tools._context import Principal
from .files import put_in
from .job import NO_DEPS, Order
from .settings import RunSettings

logger = logging.getLogger("trio_agent")


class Private(msgspec.Struct, rename="camel"):
    """It, as it is kept: JSON."""

    messages: tuple[AnyMessage, ...] = ()
    fingerprint: str = ""
    """SHA-256 of what must be unchanged where the run goes on."""
    options: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    """Those of the run. Where a number has no end, JSON has null."""
    claims: Mapping[str, Any] = {}
    """What is known of the owner."""
    on_disconnect: str | float = "continue"
    client_tools: tuple[dict[str, Any], ...] = ()
    """Tools that came with the request."""
    retractable: bool = False
    ready_deps: bool = False
    """Whether it was given its dependencies, which nobody else has."""

    def all_limits(self) -> Limits:
        """Return the limits of the run; those that are not known here are left out."""
        known = attrs.fields_dict(Limits)
        given = {name: value for name, value in self.limits.items() if name in known}
        for name, value in given.items():
            if value is None and isinstance(known[name].default, float):
                given[name] = math.inf
        return Limits(**given)

    def fits(self, agent: AgentConfig) -> bool:
        """Whether this agent can go on with the run."""
        return self.fingerprint == fingerprint_of(agent)

    def order(self, agent: AgentConfig, record: RunRecord) -> Order:
        """Return the order of a run that goes on with this agent, as it has it now."""
        tools = tuple(map(client_tool_of, self.client_tools))
        policy: OnDisconnect = (
            CancelAfter(self.on_disconnect)
            if isinstance(self.on_disconnect, int | float)
            else "cancel"
            if self.on_disconnect == "cancel"
            else "continue"
        )
        return Order(
            attrs.evolve(
                agent,
                options=self.options,
                limits=self.all_limits(),
                tools=(*agent.tools, *tools),
            ),
            declared=agent,
            on_disconnect=policy,
            principal=None if record.owner is None else Principal(record.owner, self.claims),
            retractable=self.retractable,
        )


class _Messages(msgspec.Struct):
    messages: tuple[msgspec.Raw, ...] = ()


def fingerprint_of(agent: AgentConfig) -> str:
    """Return the SHA-256 of what a continuation must find unchanged."""
    return hashlib.sha256(agent.fingerprint()).hexdigest()


def encode_private(order: Order, settings: RunSettings, messages: tuple[AnyMessage, ...]) -> bytes:
    """Encode what is to be kept.

    Args:
        order: the order of the run.
        settings: what of the agent was asked for with the run.
        messages: what was said, without the data of files.

    Raises:
        ValueError: something can't be stored, or not read back everywhere as it was.
    """
    config, policy = order.agent, order.on_disconnect
    options = dict(config.options)
    calls = (
        call.input
        for message in messages
        if isinstance(message, AssistantMessage)
        for call in message.tool_calls
    )
    kept = (message.provider for message in messages if isinstance(message, AssistantMessage))
    if is_deep([options, *calls, *kept]):
        raise ValueError("the agent's options, or the input of a tool call, are nested too deeply")
    try:
        private = Private(
            messages=messages,
            fingerprint=fingerprint_of(order.declared),
            options=options,
            limits=attrs.asdict(config.limits),
            claims={} if order.principal is None else order.principal.claims,
            on_disconnect=policy.seconds if isinstance(policy, CancelAfter) else policy,
            client_tools=tuple(settings.described()),
            retractable=order.retractable,
            ready_deps=order.deps is not NO_DEPS,
        )
        return msgspec.json.encode(private)
    except UnicodeEncodeError:
        raise ValueError(
            "a message, or the agent's configuration, has half a surrogate pair, which is no text"
        ) from None


async def read_private(store: Store, run_id: str) -> Private | None:
    """Read what is kept of a run; None if it can't be understood. A checkpoint.

    Raises:
        UnknownRun, CursorExpired: there is no such run, or no more.
        StoreUnavailable: the store can't be read now.
    """
    [private] = await store.read_private(run_id, [0])
    return _decode(private)


async def said_before(store: Store, run_id: str, *, files: bool = True) -> tuple[AnyMessage, ...]:
    """Read the messages that a run began with, with the data of their `files`, or with their names.

    A checkpoint.

    One that can't be read, because it is of a newer version or damaged, is left out with a
    warning.

    Raises:
        UnknownRun, CursorExpired: there is no such run, or no more.
        StoreUnavailable: the store can't be read now.
    """
    [private] = await store.read_private(run_id, [0])
    said = _messages_in(private, run_id)
    return await put_in(said, store.read_blob) if files else said


def _decode(private: bytes) -> Private | None:
    with suppress(*UNREADABLE):
        return msgspec.json.decode(private or b"{}", type=Private)
    return None


def _messages_in(private: bytes, run_id: str) -> tuple[AnyMessage, ...]:
    if (known := _decode(private)) is not None:
        return known.messages
    said: list[AnyMessage] = []
    try:
        messages = msgspec.json.decode(private, type=_Messages).messages
    except UNREADABLE:
        messages = (msgspec.Raw(),)
    for message in messages:
        with suppress(*UNREADABLE):
            said.append(msgspec.json.decode(message, type=AnyMessage))
    unread = len(messages) - len(said)
    logger.warning("run %s began with %d messages that can't be read", run_id, unread)
    return tuple(said)
