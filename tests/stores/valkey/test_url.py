"""The parts of the Valkey store that need no server."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trio_agent._limits import Retention
from trio_agent.stores.valkey._calls import choose
from trio_agent.stores.valkey._keys import PARTITIONS, Keys
from trio_agent.stores.valkey._url import ValkeyAddress, parse_valkey_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("valkey://localhost", ValkeyAddress("localhost")),
        ("redis://[::1]:7000/3", ValkeyAddress("::1", 7000, 3)),
        ("rediss://h/", ValkeyAddress("h", tls=True)),
        ("valkeys://h?cacert=/ca.pem", ValkeyAddress("h", tls=True, cacert=Path("/ca.pem"))),
        ("valkey://h?cluster=true", ValkeyAddress("h", cluster=True)),
        ("valkey://h?cluster=0", ValkeyAddress("h")),
        ("valkey://:p%40%2Fss@h", ValkeyAddress("h", password="p@/ss")),
        ("valkey://me%3A:pass@h:1", ValkeyAddress("h", 1, username="me:", password="pass")),
    ],
)
def test_urls(url: str, expected: ValkeyAddress) -> None:
    assert parse_valkey_url(url) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://h", "begins with"),
        ("valkey:///1", "no host"),
        ("valkey://h:port", "can't be parsed"),
        ("valkey://me:sec/ret@h", "percent-encode"),
        ("valkey://me:sec#ret@h", "percent-encode|no host"),
        ("valkey://:secret@h#x", "fragment"),
        ("valkey://[::1", "can't be parsed"),
        ("valkey://me@h", "without a password"),
        ("valkey://:secret@h/one", "number of a database"),
        ("valkey://:secret@h/-1", "number of a database"),
        ("valkey://:secret@h?tls=1&a=b", "unknown options: a, tls"),
        ("valkey://:secret@h?cluster=maybe", "true or false"),
    ],
)
def test_bad_urls_are_not_repeated(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_valkey_url(url)
    assert "sec" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_an_address_shows_no_password() -> None:
    address = parse_valkey_url("rediss://me:secret@[::1]:7/2?cluster=true")
    assert str(address) == "valkeys://me@[::1]:7/2?cluster=true"
    assert str(parse_valkey_url("redis://:secret@h")) == "valkey://h:6379/0"
    assert "secret" not in repr(address)


def test_all_keys_of_a_run_have_the_tag_of_its_partition() -> None:
    keys = Keys("x")
    tags = set()
    for n in range(200):
        run = keys.of_run(f"run{n}")
        tag = run.partition.tag
        tags.add(tag)
        shared = run.partition
        for key in (run.run, run.draft, run.log, run.viewers, run.gone):
            assert key.startswith(f"{tag}:")
            assert key.endswith(f":run{n}")
        for key in (shared.index, shared.leases, shared.finished, shared.sizes, shared.news):
            assert key.startswith(f"{tag}:")
        assert shared.owner("me").startswith(f"{tag}:")
    assert tags == {f"x:{{p{n}}}" for n in range(PARTITIONS)}


def test_idempotency_keys_are_apart() -> None:
    keys = Keys("x")
    pairs = [(None, "a"), ("", "a"), ("a", ""), ("a", "bc"), ("ab", "c"), (None, "1:ab")]
    assert len({keys.idempotency(owner, key) for owner, key in pairs}) == len(pairs)
    assert "secret" not in keys.idempotency("secret", "secret")


@pytest.mark.parametrize("prefix", ["", "a{b}", "a b", "x" * 65])
def test_bad_prefixes(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Keys(prefix)


def survey(*runs: tuple[str, int, int]) -> list[Any]:
    """A partition's reply: ids with their ages and sizes."""
    found = [[run_id.encode(), age, str(size).encode()] for run_id, age, size in runs]
    return [len(runs), str(sum(size for _, _, size in runs)).encode(), found]


KEEP = Retention(seconds=100, max_runs=100, max_bytes=10_000)


def test_the_oldest_of_all_partitions_are_chosen() -> None:
    surveys = [survey(("b", 50_000, 10), ("c", 20_000, 10)), survey(("a", 70_000, 10)), survey()]
    assert choose(surveys, KEEP) == ([], False)
    assert choose(surveys, Retention(50, 100, 10_000)) == (["a", "b"], False)
    assert choose(surveys, Retention(100, 2, 10_000)) == (["a"], False)
    assert choose(surveys, Retention(100, 100, 19)) == (["a", "b"], False)
    assert choose(surveys, Retention(0, 0, 0)) == (["a", "b", "c"], False)


def test_what_may_not_be_the_oldest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent.stores.valkey._calls._SURVEYED", 2)
    page = survey(("a", 9000, 1), ("b", 8000, 1))
    page[0] = 3  # There is another, between 8000 and 5000 perhaps.
    surveys = [page, survey(("z", 5000, 1))]
    assert choose(surveys, Retention(0, 0, 0)) == (["a", "b"], True)
    assert choose(surveys, Retention(100, 3, 100)) == (["a"], False)
    assert choose([page], Retention(0, 0, 0)) == (["a", "b"], True)


def test_without_the_extra() -> None:
    code = """
import sys
sys.modules["glide"] = None
import trio_agent
try:
    trio_agent.ValkeyStore("valkey://h")
except ModuleNotFoundError as exc:
    print(exc)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'trio-agent[valkey]'" in done.stdout
    code = "import sys, trio_agent; print([name for name in sys.modules if 'glide' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
