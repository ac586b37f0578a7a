"""Streamed HTTP responses: the one place that knows httpx."""

from .transport import (
    DEFAULT_CONNECT_DEADLINE as DEFAULT_CONNECT_DEADLINE,
    Response as Response,
    Transport as Transport,
    TransportError as TransportError,
    open_transport as open_transport,
)
