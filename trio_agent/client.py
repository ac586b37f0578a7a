"""A client of a trio-agent server."""

from ._client import (
    Client as Client,
    RemoteEvent as RemoteEvent,
    RemoteSubscription as RemoteSubscription,
    ServerError as ServerError,
    open_client as open_client,
)
from ._http import TransportError as TransportError
