"""Where in a thread a run is to be."""

from typing import Any

import pytest

from trio_agent._run.place import NO_PLACE, Place, read_place


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ((None, None, "reject"), NO_PLACE),
        (("t", None, "reject"), Place("t")),
        (("t", "", "reject"), Place("t", "")),
        (("t", "r", "cancel"), Place("t", "r", "cancel")),
        (("x" * 256, None, "reject"), Place("x" * 256)),
        (("é ./:\U0001f600\u200d", None, "reject"), Place("é ./:\U0001f600\u200d")),
        (("...", None, "reject"), Place("...")),
    ],
)
def test_a_place(given: tuple[Any, Any, Any], place: Place) -> None:
    assert read_place(*given) == place


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("", None, "reject"), "named by 1 to 256 characters, none of control, and not . or .."),
        (("x" * 257, None, "reject"), "named by 1 to 256 characters"),
        (("a\nb", None, "reject"), "none of control"),
        (("a\0", None, "reject"), "none of control"),
        ((".", None, "reject"), "not . or .."),
        (("..", None, "reject"), "not . or .."),
        (("\ud83d", None, "reject"), "^the name of the thread has half a surrogate pair"),
        ((None, "r", "reject"), "give its name, too"),
        ((None, "", "reject"), "give its name, too"),
        ((None, None, "cancel"), "give its name, too"),
        (("t", None, "queue"), "^on_busy is 'reject' or 'cancel', not 'queue'$"),
        ((None, None, "queue"), "^on_busy is"),
    ],
)
def test_what_is_none(given: tuple[Any, Any, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_place(*given)
