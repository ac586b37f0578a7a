"""What is asked of a server, as JSON: only what was said, so that older servers understand it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from .._limits import LIMIT_NAMES, CancelAfter, OnDisconnect
from .._log.plain import check_text, plain_json
from .._messages import AnyMessage
from .._run.branch import OnBusy
from .._run.files import files_of
from .._run.kept import without_provider
from ..tools._client_tool import ClientTool, request_of
from ._asking import ANSWER_SECONDS

SLOWEST: Final = 100_000
"""Bytes of files that are sent or received in a second, at least."""


def seconds_for(messages: Sequence[AnyMessage]) -> float:
    """Return the time that a server has for its answer: more, the more it has to receive."""
    size = sum(len(file.data or file.url or "") for file in files_of(messages))
    return ANSWER_SECONDS + size / SLOWEST


def wishes_of(
    *,
    messages: Sequence[AnyMessage],
    on_busy: OnBusy,
    on_disconnect: OnDisconnect | None,
    options: Mapping[str, Any] | None,
    limits: Mapping[str, Any] | None,
    client_tools: Iterable[ClientTool | Mapping[str, Any]],
    retractable: bool,
    **others: Any,
) -> dict[str, Any]:
    """Return what a run is started with.

    Raises:
        ValueError: there is no such limit.
    """
    policy = on_disconnect.seconds if isinstance(on_disconnect, CancelAfter) else on_disconnect
    wishes = {
        **others,
        "messages": [without_provider(message) for message in messages] or None,
        "onBusy": None if on_busy == "reject" else on_busy,
        "onDisconnect": policy,
        "options": options or None,
        "limits": _limits(limits) or None,
        "clientTools": [
            request_of(tool) if isinstance(tool, ClientTool) else tool for tool in client_tools
        ]
        or None,
        "retractable": None if retractable else False,
    }
    return {name: value for name, value in wishes.items() if value is not None}


def answer_of(
    call_id: str, *, approved: bool | None, output: Any, reason: str | None, arguments: Any
) -> dict[str, Any]:
    """Return what is said to a call that waits.

    Raises:
        ValueError: the output or the arguments are no JSON, or the reason is no text.
    """
    check_text(reason or "", "the reason")
    said: dict[str, Any] = {"callId": call_id}
    if approved is not None:
        said["approve"] = approved
    if output is not msgspec.UNSET:
        said["output"] = plain_json(output, "the output")
    if reason is not None:
        said["reason"] = reason
    if arguments is not msgspec.UNSET:
        said["arguments"] = plain_json(arguments, "the arguments")
    return said


def _limits(limits: Mapping[str, Any] | None) -> dict[str, Any]:
    names = {name: in_json for in_json, name in LIMIT_NAMES.items()}
    if unknown := sorted((limits or {}).keys() - names.keys()):
        raise ValueError(f"there is no limit {unknown[0]!r}; there are: {', '.join(names)}")
    return {names[name]: value for name, value in (limits or {}).items()}
