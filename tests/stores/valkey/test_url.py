"""Where Valkey is, from its URL; passwords are shown nowhere."""

from pathlib import Path

import pytest

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
