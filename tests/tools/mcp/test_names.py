"""What the model calls the tools of a server."""

import re

import pytest
from hypothesis import given, strategies as st

from trio_agent.tools.mcp._names import name_tools


@pytest.mark.parametrize(
    ("prefix", "names", "expected"),
    [
        (None, ["add", "get-it_2"], ["add", "get-it_2"]),
        ("kit", ["add"], ["kit_add"]),
        (None, ["a.b", "ä b"], ["a_b", "__b"]),
        (None, ["a.b", "a/b"], ["a_b", "a_b_c14cddc0"]),
        (None, ["a", "a"], ["a"]),
        (None, [""], ["_e3b0c442"]),
        ("p", ["x" * 70], ["p_" + "x" * 53 + "_" + "c71bd109"]),
    ],
)
def test_names(prefix: str | None, names: list[str], expected: list[str]) -> None:
    assert list(name_tools(prefix, names).values()) == expected


@given(
    st.one_of(st.none(), st.from_regex(r"[a-zA-Z0-9_-]{1,32}", fullmatch=True)),
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True),
)
def test_providers_take_all_of_them(prefix: str | None, names: list[str]) -> None:
    named = name_tools(prefix, names)
    assert list(named) == names
    assert len(set(named.values())) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in named.values())
