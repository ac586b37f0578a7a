"""The record of a run: what the store keeps beside its log."""

import hashlib
import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from .._config import AgentConfig
from .._limits import CancelAfter, OnDisconnect
from .._log.plain import UNREADABLE, check_text, is_deep, plain_json
from .._log.store import RunRecord
from .._messages import AnyMessage, AssistantMessage

logger = logging.getLogger("trio_agent")


class _Private(msgspec.Struct, rename="camel"):
    """What a continuation of the run needs and no wire may carry."""

    messages: tuple[AnyMessage, ...] = ()
    fingerprint: str = ""
    """SHA-256 of the agent's name, instructions and tools."""
    options: dict[str, Any] = {}
    on_disconnect: str | float = "continue"


class _Messages(msgspec.Struct):
    messages: tuple[msgspec.Raw, ...] = ()


def make_record(
    agent: AgentConfig,
    messages: tuple[AnyMessage, ...],
    on_disconnect: OnDisconnect,
    *,
    owner: str | None,
    metadata: Mapping[str, Any],
    idempotency_key: str | None,
) -> RunRecord:
    """Make the record of a new run, with an id of 128 random bits.

    Raises:
        ValueError: something given can't be stored, or not read back everywhere as it was.
    """
    plain = plain_json(dict(metadata), "metadata")
    for what, text in (
        ("the agent's name", agent.name),
        ("the owner", owner),
        ("the idempotency key", idempotency_key),
    ):
        check_text(text or "", what)
    policy = on_disconnect.seconds if isinstance(on_disconnect, CancelAfter) else on_disconnect
    private = _encode_private(agent, messages, policy)
    return RunRecord(
        run_id=secrets.token_hex(16),
        epoch=secrets.token_hex(4),
        agent=agent.name,
        created_at=time.time_ns() // 1_000_000,
        owner=owner,
        metadata=plain,
        idempotency_key=idempotency_key,
        private=private,
        digest="" if idempotency_key is None else _digest(agent.name, messages, plain),
    )


def _digest(agent: str, messages: tuple[AnyMessage, ...], metadata: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what the caller has asked for.

    How the run is watched is no part of it, nor what the agent is like: those who repeat a
    request may meet a server with other defaults, or with a newer agent.
    """
    asked = msgspec.json.encode((agent, messages, metadata), order="sorted")
    return hashlib.sha256(asked).hexdigest()


def _encode_private(
    agent: AgentConfig, messages: tuple[AnyMessage, ...], policy: str | float
) -> bytes:
    options = dict(agent.options)
    calls = (
        call.input
        for message in messages
        if isinstance(message, AssistantMessage)
        for call in message.tool_calls
    )
    if is_deep([options, *calls]):
        raise ValueError("the agent's options, or the input of a tool call, are nested too deeply")
    try:
        fingerprint = hashlib.sha256(agent.fingerprint()).hexdigest()
        return msgspec.json.encode(_Private(messages, fingerprint, options, policy))
    except UnicodeEncodeError:
        raise ValueError(
            "a message, or the agent's configuration, has half a surrogate pair, which is no text"
        ) from None


def said_before(record: RunRecord) -> tuple[AnyMessage, ...]:
    """Return the messages that a run began with.

    One that can't be read, because it is of a newer version or damaged, is left out with a warning.
    """
    try:
        return msgspec.json.decode(record.private or b"{}", type=_Private).messages
    except UNREADABLE:
        pass
    said: list[AnyMessage] = []
    try:
        messages = msgspec.json.decode(record.private, type=_Messages).messages
    except UNREADABLE:
        messages = (msgspec.Raw(),)
    for message in messages:
        with suppress(*UNREADABLE):
            said.append(msgspec.json.decode(message, type=AnyMessage))
    unread = len(messages) - len(said)
    logger.warning("run %s began with %d messages that can't be read", record.run_id, unread)
    return tuple(said)
