"""Streamed HTTP responses: the one place that knows httpx."""

from .errors import TransportError as TransportError
from .exchange import Receiver as Receiver
from .response import Response as Response
from .transport import (
    DEFAULT_CONNECT_DEADLINE as DEFAULT_CONNECT_DEADLINE,
    Transport as Transport,
    open_transport as open_transport,
)
