"""What the replies of scripts mean. No server is needed."""

from collections.abc import Callable
from typing import Any

import pytest
from store_kit import record

from trio_agent._errors import CursorExpired, LogDamaged, UnknownRun
from trio_agent._log.log import Entry
from trio_agent._log.run_info import RunInfo
from trio_agent._log.store import Page
from trio_agent.stores.valkey._beside import as_piece, as_privates
from trio_agent.stores.valkey._calls import Calls
from trio_agent.stores.valkey._inbox import as_delivered, as_deliveries
from trio_agent.stores.valkey._keys import Keys
from trio_agent.stores.valkey._leases import as_lease
from trio_agent.stores.valkey._replies import as_info, as_page, present


@pytest.mark.parametrize(
    "understand",
    [
        *(present, as_info, as_privates),
        lambda run_id, reply: as_page(run_id, 0, reply),
        lambda run_id, reply: as_piece(run_id, "f0", reply),
        as_lease,
        lambda run_id, reply: as_delivered(run_id, b"", reply),
        lambda run_id, reply: as_deliveries(run_id, 0, reply),
    ],
    ids=[
        *("present", "as_info", "as_privates", "as_page", "as_piece"),
        *("as_lease", "as_delivered", "as_deliveries"),
    ],
)
def test_a_run_that_is_not_there(understand: Callable[[str, Any], object]) -> None:
    with pytest.raises(UnknownRun) as unknown:
        understand("r", b"unknown")
    assert unknown.value.run_id == "r"
    with pytest.raises(CursorExpired, match="'r' was removed"):
        understand("r", b"expired")


def understood(page: Page) -> tuple[list[tuple[int, bytes, bool]], int, bool]:
    entries = [(entry.offset, entry.data, entry.terminal) for entry in page.entries]
    return entries, page.tail, page.closed


@pytest.mark.parametrize(
    ("after", "reply", "expected"),
    [
        (0, [b"0", b"0", []], ([], 0, False)),
        (1, [b"3", b"0", [b"b", b"c"]], ([(2, b"b", False), (3, b"c", False)], 3, False)),
        (1, [b"3", b"1", [b"b", b"c"]], ([(2, b"b", False), (3, b"c", True)], 3, True)),
        (0, [b"3", b"1", [b"a"]], ([(1, b"a", False)], 3, True)),
        (3, [b"3", b"1", []], ([], 3, True)),
    ],
)
def test_a_page(after: int, reply: Any, expected: object) -> None:
    assert understood(as_page("r", after, reply)) == expected


def test_what_is_known_of_a_run() -> None:
    full = record("r", owner="me", metadata={"ü": [1]}, idempotency_key="k", private=b"secret")
    [call] = Calls(Keys("x"), lease=1).draft(full, "token", "key of k")
    draft = dict(zip(call.arguments[2::2], call.arguments[3::2], strict=True))
    more = [None, None, b"0", None, None]
    known = [draft["record"], b"e", b"0", b"0", b"1", None, b"", *more]
    assert as_info("r", [known, None, b"leased", 2]) == RunInfo(
        full.told(), 0, 0, None, 1, True, None, 2
    )

    more = [b"4", b"1", b"3", "tü".encode(), b"before"]
    known = [draft["record"], b"e", b"7", b"99", b"3", "w\u00fc".encode(), b"d", *more]
    info = as_info("r", [known, b"end", b"due", 0])
    assert (info.tail, info.size, info.fence, info.record.digest) == (7, 99, 3, "d")
    assert (info.leased, info.parked, info.cancel_reason) == (False, False, "wü")
    assert (info.delivered, info.torn) == (4, True)
    parked = as_info("r", [known, None, b"parked", 0])
    assert (parked.leased, parked.parked) == (False, True)
    assert isinstance(info.last, Entry)
    assert (info.last.offset, info.last.data, info.last.terminal) == (7, b"end", True)


def test_a_log_that_is_lost_and_a_record_that_is_none() -> None:
    with pytest.raises(LogDamaged, match="log of run 'r' is lost"):
        present("r", b"damaged")
    for record_ in (b"{", b"[1]", b'{"agent":1,"unknown":2}', b'{"n":' * 5000):
        known = [record_, b"e", b"0", b"0", b"1", None, b"", *[None] * 5]
        with pytest.raises(LogDamaged, match="record of run 'r' can't be read"):
            as_info("r", [known, None, b"due", 2])
