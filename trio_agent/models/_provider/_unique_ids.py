"""Ids of tool calls that are each given on once, whatever the provider says."""


class UniqueIds:
    """Those of one answer."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def take(self, id_: str) -> str:
        """Return an id, or one that is made of it where it was taken before."""
        unique, number = id_, 2
        while unique in self._ids:
            unique = f"{id_}-{number}"
            number += 1
        self._ids.add(unique)
        return unique
