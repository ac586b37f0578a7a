"""The blocks of reasoning that OpenRouter (and MiniMax) want back as they gave them.

In a stream a block comes in fragments: those of one type, index and id are one block. Texts are
joined, of the rest the last word counts, and a signature, which comes last, closes the block. What
stands in one list is never one block, so that a whole message passes unchanged. What is sealed
comes whole.

Source: OpenRouter's guide "Reasoning Tokens"; agno#8794 has recorded fragments, and what becomes
of a signature if they are not joined.
"""

from typing import Any, Final

_JOINED: Final = ("text", "summary")
_MAX_OPEN: Final = 64
"""Blocks that are written at a time."""


class ReasoningDetails:
    """Puts the fragments of one answer together."""

    def __init__(self) -> None:
        self.blocks: list[Any] = []
        """In the order in which they began."""

    def feed(self, fragments: list[Any]) -> None:
        """Take what stands in one delta."""
        open_blocks = self.blocks[-_MAX_OPEN:]
        for fragment in fragments:
            block = next((b for b in reversed(open_blocks) if _goes_on(b, fragment)), None)
            if block is None:
                self.blocks.append(dict(fragment) if isinstance(fragment, dict) else fragment)
            else:
                _join(block, fragment)


def _goes_on(block: Any, fragment: Any) -> bool:
    if not isinstance(block, dict) or not isinstance(fragment, dict):
        return False
    if fragment.get("type", block.get("type")) != block.get("type"):
        return False
    if fragment.get("index") != block.get("index"):
        return False
    if None not in (ids := (block.get("id"), fragment.get("id"))) and ids[0] != ids[1]:
        return False
    if fragment.get("data") is not None:
        return bool(block.get("data") == fragment["data"])
    return not block.get("signature") or not any(fragment.get(name) for name in _JOINED)


def _join(block: dict[str, Any], fragment: dict[str, Any]) -> None:
    for name, value in fragment.items():
        said = block.get(name)
        if name in _JOINED and isinstance(said, str) and isinstance(value, str):
            block[name] = said + value
        elif value is not None or name not in block:
            block[name] = value
