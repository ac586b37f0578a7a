"""Where in a thread a run is to be."""

from typing import Any

import pytest

from trio_agent._run.branch import NO_BRANCH, Branch, read_branch


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ((None, None, "reject"), NO_BRANCH),
        (("t", None, "reject"), Branch("t")),
        (("t", "", "reject"), Branch("t", "")),
        (("t", "r", "cancel"), Branch("t", "r", "cancel")),
        (("x" * 256, None, "reject"), Branch("x" * 256)),
        (("é ./:\U0001f600\u200d", None, "reject"), Branch("é ./:\U0001f600\u200d")),
        (("...", None, "reject"), Branch("...")),
    ],
)
def test_a_place(given: tuple[Any, Any, Any], place: Branch) -> None:
    assert read_branch(*given) == place


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("", None, "reject"), "named by 1 to 256 characters, none of control"),
        (("x" * 257, None, "reject"), "named by 1 to 256 characters"),
        (("a\nb", None, "reject"), "none of control"),
        (("a\0", None, "reject"), "none of control"),
        ((".", None, "reject"), "no . or .."),
        (("..", None, "reject"), "no . or .."),
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
        read_branch(*given)
