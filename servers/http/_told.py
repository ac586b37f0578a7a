"""What runs are told over HTTP while they are under way."""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from .._shared.content import bad
from .._shared.service import Service
from .._shared.told import Answer, Message
from ._answers import json_response
from ._reading import body_of

_decode_answer: Final = msgspec.json.Decoder(Answer).decode
_decode_message: Final = msgspec.json.Decoder(Message).decode


class Told:
    """The handlers.

    Args:
        service: whose runs.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request) -> Response:
        said = await body_of(request, _decode_answer)
        run_id = request.path_params["run_id"]
        return _reply(await self._service.answer(request["principal"], run_id, said))

    async def say(self, request: Request) -> Response:
        said = await body_of(request, _decode_message)
        key = request.headers.get("idempotency-key")
        if key is not None:
            if said.key not in (None, key):
                raise bad("it is not the one of the header Idempotency-Key", "$.key")
            said = msgspec.structs.replace(said, key=key)
        run_id = request.path_params["run_id"]
        return _reply(await self._service.say(request["principal"], run_id, said))


def _reply(reply: Mapping[str, object]) -> Response:
    return json_response(reply, status=202 if "pending" in reply else 200)
