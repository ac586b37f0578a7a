"""How often in a row tools have failed: what a model does not learn from, ends the run."""


class Failures:
    """Counts them by the tool's name, a step at a time.

    Args:
        retries: times that a failure may be repeated; None: as often as one likes.
    """

    def __init__(self, retries: int | None) -> None:
        self._retries = retries
        self._in_a_row: dict[str, int] = {}
        # Of this step: whether a call of the tool succeeded.
        self._step: dict[str, bool] = {}

    def add(self, name: str, *, ok: bool) -> None:
        """A call of this tool has ended."""
        self._step[name] = ok or self._step.get(name, False)

    def end_step(self) -> str | None:
        """All calls of the step have ended: say which tool has failed too often, if one has."""
        step, self._step = self._step, {}
        for name, ok in step.items():
            times = self._in_a_row[name] = 0 if ok else self._in_a_row.get(name, 0) + 1
            if self._retries is not None and times > self._retries:
                return f"the tool {name!r} failed {times} times in a row"
        return None
