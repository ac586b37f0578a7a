"""JSON in and out."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response


def json_response(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Make a response of any value that msgspec encodes."""
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        headers={"cache-control": "no-store", **(headers or {})},
        media_type="application/json",
    )
