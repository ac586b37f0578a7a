"""A client of a trio-agent server."""

from .._http import TransportError as TransportError
from ._client import Client as Client
from ._open import open_client as open_client
from ._refusal import ServerError as ServerError
from ._remote import RemoteEvent as RemoteEvent
from ._subscription import RemoteSubscription as RemoteSubscription
