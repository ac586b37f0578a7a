"""What a run has used and may use, together with its sub-agents.

Each agent of a run counts for itself and for all above it: whoever has spent too much, all below
stop with it.
"""

from .._events import Usage


class Budget:
    """One agent's share.

    Args:
        max_tokens: tokens that it may use with its sub-agents; None: as many as it takes.
        within: the budget of the agent that has called it.
    """

    def __init__(self, max_tokens: int | None = None, within: "Budget | None" = None) -> None:
        self.usage: Usage = Usage()
        """What it and its sub-agents have used."""
        self.own_usage: Usage = Usage()
        """What it has used itself."""
        self.bounded: bool = max_tokens is not None or (within is not None and within.bounded)
        """Whether it can be exhausted, so that tokens are to be counted."""
        self.max_tokens = max_tokens
        self.spent: int = 0
        """Tokens that were counted."""
        # Its own first, then those above it.
        self._all: tuple[Budget, ...] = (self, *(() if within is None else within._all))  # noqa: SLF001
        # What is below may have a bound of its own: it is nothing to those that have none.
        self._counting = tuple(each for each in self._all if each.bounded)

    def paid(self, usage: Usage) -> None:
        """An answer has cost this."""
        self.own_usage += usage
        for each in self._all:
            each.usage += usage

    def spend(self, tokens: int) -> None:
        """Count so many tokens (fewer than none, if they were counted before)."""
        for each in self._counting:
            each.spent += tokens

    @property
    def exhausted(self) -> int | None:
        """The bound that was reached, its own before those above it; None: there is more."""
        for each in self._all:
            if each.max_tokens is not None and each.spent >= each.max_tokens:
                return each.max_tokens
        return None
