"""Where in the tree of a thread a run is to be, as whoever starts it says."""

import re
from typing import Final, Literal, TypeAlias

import attrs

from .._log.cursor import valid_run_id
from .._log.plain import check_text

MAX_NAME: Final = 256
"""Characters of a thread's name at most."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

OnBusy: TypeAlias = Literal["reject", "cancel"]
"""What is to be done where another run is active: this one is refused, or that one cancelled."""


@attrs.frozen
class Branch:
    """Made by `read_branch`."""

    thread: str | None = None
    """The name of the thread; None: the run is in none."""
    after: str | None = None
    """The run whose turn it is to follow; "" to begin anew, None for the head."""
    on_busy: OnBusy = "reject"


NO_BRANCH: Final = Branch()


def read_branch(thread: str | None, after: str | None, on_busy: OnBusy) -> Branch:
    """Check where a run is to be.

    Raises:
        ValueError: the thread can't be called so, or something is said of no thread.
    """
    if on_busy not in ("reject", "cancel"):
        raise ValueError(f"on_busy is 'reject' or 'cancel', not {on_busy!r}")
    if thread is None:
        if after is not None or on_busy != "reject":
            raise ValueError("after and on_busy are of a thread: give its name, too")
        return NO_BRANCH
    check_text(thread, "the name of the thread")
    # In a path, dots would lead elsewhere.
    dots = not {".", ".."}.isdisjoint(thread.split("/"))
    if not 0 < len(thread) <= MAX_NAME or _CONTROL.search(thread) or dots:
        raise ValueError(
            f"a thread is named by 1 to {MAX_NAME} characters, none of control, and no . or .."
            " between slashes"
        )
    if after and not valid_run_id(after):
        raise ValueError("after is the id of a run, or empty to begin anew")
    return Branch(thread, after, on_busy)
