"""The record of a run: what the store keeps beside its log."""

import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .._log.plain import check_text, plain_json
from .._log.run_info import RunRecord
from .._messages import AnyMessage
from .branch import NO_BRANCH, Branch
from .files import nameless, set_apart
from .job import Order
from .private import encode_private
from .settings import RunSettings

_NO_SETTINGS: Final = RunSettings()


def make_record(
    order: Order,
    messages: tuple[AnyMessage, ...],
    *,
    run_id: str | None = None,
    branch: Branch = NO_BRANCH,
    metadata: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    settings: RunSettings = _NO_SETTINGS,
) -> RunRecord:
    """Make the record of a new run.

    Args:
        order: how it is to be performed.
        messages: what was said.
        run_id: its id, as the store made it; 128 random bits by default.
        branch: in which thread.
        metadata: shown wherever it is listed.
        idempotency_key: what finds it again.
        settings: what of the agent was asked for with the run.

    Raises:
        ValueError: something given can't be stored, or not read back everywhere as it was.
    """
    agent = order.declared
    owner = None if order.principal is None else order.principal.id
    run_id = secrets.token_hex(16) if run_id is None else run_id
    plain = plain_json(dict(metadata or {}), "metadata")
    for what, text in (
        ("the agent's name", agent.name),
        ("the owner", owner),
        ("the idempotency key", idempotency_key),
    ):
        check_text(text or "", what)
    stored, blobs = set_apart(messages, run_id)
    return RunRecord(
        run_id=run_id,
        epoch=secrets.token_hex(4),
        agent=agent.name,
        created_at=time.time_ns() // 1_000_000,
        owner=owner,
        metadata=plain,
        idempotency_key=idempotency_key,
        thread=branch.thread,
        private=encode_private(order, settings, stored),
        blobs=blobs,
        digest=""
        if idempotency_key is None
        else _digest(agent.name, messages, plain, settings, branch),
    )


def _digest(
    agent: str,
    messages: tuple[AnyMessage, ...],
    metadata: Mapping[str, Any],
    settings: RunSettings,
    branch: Branch,
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
    if settings.client_tools:
        asked += (settings.described(),)
    if branch.thread is not None:
        asked += branch.thread, branch.after
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()
