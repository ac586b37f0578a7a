"""How long providers ask to wait."""

import pytest
from hypothesis import given, strategies as st

from trio_agent.models._provider._retry_after import (
    longest,
    wait_in_headers,
    wait_in_words,
    wait_of,
)

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "3s"}, 3),
        ({"retry-after": "1m30s"}, 90),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 -0000"}, 10),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:10 GMT"}, 0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 7),
        ({"retry-after": "1", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "3", "retry-after-ms": "0"}, 3),
        ({"retry-after": "3", "retry-after-ms": "soon"}, 3),
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
        ({"retry-after": "Mon, 99 Jan 2023 00:00:00 GMT"}, None),
        ({"retry-after": "9" * 5000}, None),
        ({"retry-after": "9" * 5000 + "s"}, None),
    ],
)
def test_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_in_headers(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit reached: Limit 3, Used 3. Please try again in 20s. Visit", 20),
        ("Please retry in 1m2.5s.", 62.5),
        ("Please try again in 350ms.", 0.35),
        ("Please try again in 1h0m0.5s", 3600.5),
        ("Please retry after 20 seconds.", 20),
        ("Try again in 2 minutes", 120),
        ("please wait 30 sec", 30),
        ("Try again in 250 milliseconds", 0.25),
        ("Please try again later", None),
        ("Please try again in 20 steps", None),
        ("It failed after 20s", None),
        ("Please try again. It took 20s", None),
        ("again " * 1000, None),
        ("try again in " + "1s" * 1000, 4),
        ("try again in " + "9" * 1000 + "s", None),
    ],
)
def test_words(text: str, seconds: float | None) -> None:
    assert wait_in_words(text) == (seconds and pytest.approx(seconds))


@pytest.mark.parametrize("text", ["", "3", "s", "3 s or so", "-3s", "nans", "\u0663x"])
def test_what_is_no_duration(text: str) -> None:
    assert wait_of(text) is None


def test_the_longest_counts() -> None:
    assert longest(None, 1, 3, 2) == 3
    assert longest(None, 0) == 0
    assert longest(None) is None


@given(
    st.text() | st.lists(st.sampled_from(["try again in ", "1", ".", "s", "m", " "])).map("".join)
)
def test_any_text_is_read(text: str) -> None:
    for seconds in (
        wait_in_headers({"retry-after": text}, NOW),
        wait_of(text),
        wait_in_words(text),
    ):
        assert seconds is None or seconds >= 0
