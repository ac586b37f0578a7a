"""The record of a run: what the store keeps beside its log."""

import hashlib
import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import attrs
import msgspec

from .._config import AgentConfig
from .._limits import CancelAfter, OnDisconnect
from .._log.plain import UNREADABLE, check_text, is_deep, plain_json
from .._log.run_info import RunRecord
from .._log.store import Store
from .._messages import AnyMessage, AssistantMessage
from .files import nameless, put_in, set_apart
from .settings import RunSettings

logger = logging.getLogger("trio_agent")

_NO_SETTINGS: Final = RunSettings()


class _Private(msgspec.Struct, rename="camel"):
    """What a continuation of the run needs and no wire may carry."""

    messages: tuple[AnyMessage, ...] = ()
    fingerprint: str = ""
    """SHA-256 of the agent's name, instructions and tools."""
    options: dict[str, Any] = {}
    limits: dict[str, float | None] = {}
    """Those of the run. Where a number has no end, JSON has null."""
    claims: Mapping[str, Any] = {}
    """What is known of the owner."""
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
    claims: Mapping[str, Any] | None = None,
    settings: RunSettings = _NO_SETTINGS,
) -> RunRecord:
    """Make the record of a new run, with an id of 128 random bits.

    Args:
        agent: as it is to run, with the settings of the run.
        messages: what was said.
        on_disconnect: what becomes of it when nobody watches.
        owner: whose run it is.
        metadata: shown wherever it is listed.
        idempotency_key: what finds it again.
        claims: what is known of the owner; plain JSON.
        settings: what of the agent was asked for with the run.

    Raises:
        ValueError: something given can't be stored, or not read back everywhere as it was.
    """
    run_id = secrets.token_hex(16)
    plain = plain_json(dict(metadata), "metadata")
    for what, text in (
        ("the agent's name", agent.name),
        ("the owner", owner),
        ("the idempotency key", idempotency_key),
    ):
        check_text(text or "", what)
    policy = on_disconnect.seconds if isinstance(on_disconnect, CancelAfter) else on_disconnect
    stored, blobs = set_apart(messages, run_id)
    private = _encode_private(agent, stored, policy, claims or {})
    return RunRecord(
        run_id=run_id,
        epoch=secrets.token_hex(4),
        agent=agent.name,
        created_at=time.time_ns() // 1_000_000,
        owner=owner,
        metadata=plain,
        idempotency_key=idempotency_key,
        private=private,
        blobs=blobs,
        digest="" if idempotency_key is None else _digest(agent.name, messages, plain, settings),
    )


def _digest(
    agent: str,
    messages: tuple[AnyMessage, ...],
    metadata: Mapping[str, Any],
    settings: RunSettings,
) -> str:
    """Return the SHA-256 of what the caller has asked for.

    How the run is watched is no part of it, nor what the agent is like: those who repeat a
    request may meet a server with other defaults, or with a newer agent.
    """
    # By their hashes, and what a provider wants back in any case: who repeats a request may have
    # got its messages from elsewhere.
    said, _ = set_apart(nameless(messages), "")
    asked: tuple[object, ...] = agent, said, metadata
    if settings != _NO_SETTINGS:
        asked += settings.options, settings.limits
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def _encode_private(
    agent: AgentConfig,
    messages: tuple[AnyMessage, ...],
    policy: str | float,
    claims: Mapping[str, Any],
) -> bytes:
    options = dict(agent.options)
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
        fingerprint = hashlib.sha256(agent.fingerprint()).hexdigest()
        limits = attrs.asdict(agent.limits)
        private = _Private(messages, fingerprint, options, limits, claims, policy)
        return msgspec.json.encode(private)
    except UnicodeEncodeError:
        raise ValueError(
            "a message, or the agent's configuration, has half a surrogate pair, which is no text"
        ) from None


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


def _messages_in(private: bytes, run_id: str) -> tuple[AnyMessage, ...]:
    try:
        return msgspec.json.decode(private or b"{}", type=_Private).messages
    except UNREADABLE:
        pass
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
