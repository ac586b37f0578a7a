"""What can go wrong with the embedded model."""

from .._errors import TrioAgentError


class LocalModelUnavailable(TrioAgentError):
    """The embedded model can't be fetched or started; the message says what to do about it."""
