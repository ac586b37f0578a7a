"""What is kept beside an answer for its provider: JSON, the same for who wrote it and who reads it.

So the run that goes on has what its log gives back, and not what a model has made that no JSON can
hold, or that it changes later.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

from .._errors import ModelError
from .._log.plain import encode_json, is_deep
from .._messages import AnyMessage, AssistantMessage
from ..models._parts import ModelFinish

decode_kept = msgspec.json.Decoder(dict[str, Any]).decode
"""Read what is kept. Raises what is `UNREADABLE`."""


def wanted_back(finish: ModelFinish) -> Mapping[str, Any]:
    """Return what of an answer's `provider` goes back with it: nothing if it was cut short.

    What was cut may hold calls that nobody answers, which providers refuse.
    """
    return finish.provider if finish.reason in ("stop", "tool-calls") else {}


def without_provider(message: AnyMessage) -> AnyMessage:
    """Return a message as strangers may see it."""
    if isinstance(message, AssistantMessage) and message.provider:
        return msgspec.structs.replace(message, provider={})
    return message


def set_aside(finish: ModelFinish) -> tuple[ModelFinish, bytes]:
    """Return an answer as it is read back, and what is to be kept beside it.

    Raises:
        ModelError: `bad-response`: it could not be read back.
    """
    kept = wanted_back(finish)
    if is_deep(kept):
        raise ModelError("bad-response", "what the provider wants back is nested too deeply")
    private = encode_json(kept) if kept else b""
    return attrs.evolve(finish, provider=decode_kept(private or b"{}")), private
