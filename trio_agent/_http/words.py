"""What a stranger says, as one line that no log and no terminal takes for more."""

from typing import Final

MAX_WORDS: Final = 500
"""Characters of it that are told."""

_SECRET: Final = 4
"""Characters that a secret has, at least. What is shorter stands in the place of a key, where a
local server wants none."""


def clean(text: str, *, limit: int = MAX_WORDS, secret: str = "") -> str:
    """Return one printable line of at most `limit` characters, without the secret."""
    if len(secret) >= _SECRET:
        text = text.replace(secret, "***")
    text = "".join(char if char.isprintable() else " " for char in text[: 4 * limit])
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
