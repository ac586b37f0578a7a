"""The record of a run: what the store keeps beside its log."""

import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from .._config import AgentConfig
from .._limits import CancelAfter, OnDisconnect
from .._log.store import RunRecord
from .._messages import AnyMessage


class _Private(msgspec.Struct, rename="camel"):
    """What a continuation of the run needs and no wire may carry."""

    messages: tuple[AnyMessage, ...] = ()
    fingerprint: str = ""
    """SHA-256 of the agent's name, instructions and tools."""
    options: dict[str, Any] = {}
    on_disconnect: str | float = "continue"


def make_record(
    agent: AgentConfig,
    messages: tuple[AnyMessage, ...],
    on_disconnect: OnDisconnect,
    *,
    owner: str | None,
    metadata: Mapping[str, Any],
    idempotency_key: str | None,
) -> RunRecord:
    """Make the record of a new run, with an id of 128 random bits."""
    policy = on_disconnect.seconds if isinstance(on_disconnect, CancelAfter) else on_disconnect
    fingerprint = hashlib.sha256(agent.fingerprint()).hexdigest()
    private = _Private(messages, fingerprint, dict(agent.options), policy)
    return RunRecord(
        run_id=secrets.token_hex(16),
        epoch=secrets.token_hex(4),
        agent=agent.name,
        created_at=time.time_ns() // 1_000_000,
        owner=owner,
        metadata=dict(metadata),
        idempotency_key=idempotency_key,
        private=msgspec.json.encode(private),
        digest="" if idempotency_key is None else _digest(agent.name, messages, metadata),
    )


def _digest(agent: str, messages: tuple[AnyMessage, ...], metadata: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what the caller has asked for.

    How the run is watched is no part of it, nor what the agent is like: those who repeat a
    request may meet a server with other defaults, or with a newer agent.
    """
    asked = msgspec.json.encode((agent, messages, metadata), order="sorted")
    return hashlib.sha256(asked).hexdigest()


def said_before(record: RunRecord) -> tuple[AnyMessage, ...]:
    """Return the messages that a run began with."""
    return msgspec.json.decode(record.private or b"{}", type=_Private).messages
