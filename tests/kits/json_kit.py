"""JSON values, and their texts in pieces."""

from typing import Any

from hypothesis import strategies as st

SPACE = st.text(" \t\n\r", max_size=3)

TEXTS = st.text(max_size=5) | st.sampled_from(["output", '"', "\\", "}", "😀", "a\nb", "\u2028"])

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | TEXTS
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def cut(text: str, data: st.DataObject) -> list[str]:
    """The text in any pieces, empty ones among them."""
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
