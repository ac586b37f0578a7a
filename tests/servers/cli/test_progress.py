"""How far a call is, as a line."""

from typing import Any

import pytest

from trio_agent.servers.cli._progress import progress_line


def drawn(signs: int) -> str:
    return f"[{signs * '#'}{(24 - signs) * ' '}]"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"done": 6, "total": 12}, f"{drawn(12)} 6/12"),
        ({"progress": 1, "of": 4.5}, f"{drawn(5)} 1/4.5"),
        ({"progress": 1, "total": 4, "message": "page\n1"}, f"{drawn(6)} 1/4 page 1"),
        ({"progress": 0.25}, f"{drawn(6)} 25%"),
        ({"done": 9, "total": 3}, f"{drawn(24)} 9/3"),
        ({"done": 0, "total": 3}, f"{drawn(0)} 0/3"),
        ({"message": "reading"}, "reading"),
        ({"done": 7, "message": "reading"}, "reading"),
        ({"done": 7}, '{"done":7}'),
        ({"done": 7, "total": 0}, '{"done":7,"total":0}'),
        ({"done": -1, "total": 3}, '{"done":-1,"total":3}'),
        ({"done": 1, "total": 1e300}, '{"done":1,"total":1e300}'),
        ({"done": 10**400, "total": 1}, f'{{"done":1{198 * "0"}'[:199] + "…"),
        ({"done": True, "total": 3}, '{"done":true,"total":3}'),
        ({"done": "1", "total": "2"}, '{"done":"1","total":"2"}'),
        ({"message": 3}, '{"message":3}'),
        ([1, None], "[1,null]"),
        (None, "null"),
        ("read \x1b[31m", "read [31m"),
        ("x" * 1000, "x" * 199 + "…"),
    ],
)
def test_line(data: Any, line: str) -> None:
    assert progress_line(data) == line
