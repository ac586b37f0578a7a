"""Names of single attempts to do something, by which a repetition is known."""

import secrets
from typing import Final

TOKEN_LENGTH: Final = 16


def new_token() -> str:
    """Name one attempt."""
    return secrets.token_hex(TOKEN_LENGTH // 2)
