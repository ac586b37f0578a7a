"""Which proxy is asked for which URL, and which exceptions are understood."""

import pytest

from trio_agent._http.proxies import find_proxy

P = "http://proxy:3128"


@pytest.mark.parametrize(
    ("url", "proxies", "proxy"),
    [
        ("http://host/v1", {"http": P}, P),
        ("https://host/v1", {"http": P}, None),
        ("https://host/v1", {"http": P, "all": "socks5://p"}, "socks5://p"),
        ("https://host/v1", {"https": "proxy:1"}, "http://proxy:1"),
        ("https://host/v1", {"https": "", "all": P}, P),
        ("http://host/v1", {}, None),
        ("http://localhost:1/v1", {"http": P}, None),
        ("http://127.0.0.2/v1", {"http": P}, None),
        ("http://[::1]:1/v1", {"http": P}, None),
    ],
)
def test_the_scheme_tells(url: str, proxies: dict[str, str], proxy: str | None) -> None:
    assert find_proxy(url, proxies) == proxy


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("host", "*"),
        ("host", "other, host"),
        ("host", "other host"),
        ("a.host", "host"),
        ("a.host", ".host"),
        ("a.host", "*.host"),
        ("host", ".host"),
        ("HOST", "Host"),
        ("host", "https://host"),
        ("host:8000", "host:8000"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3:80", "10.1.2.3/8"),
        ("[fd12::1]", "fd00::/8"),
        ("[fd12::1]", "fd12::1"),
        ("[fd12::1]:80", "[fd12:0::1]"),
    ],
)
def test_exceptions(host: str, no_proxy: str) -> None:
    assert find_proxy(f"http://{host}/v1", {"http": P, "no": no_proxy}) is None


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("ahost", "host"),
        ("host.a", "host"),
        ("host", "a.host"),
        ("host", "host:8000"),
        ("10.1.2.3", "11.0.0.0/8"),
        ("10.1.2.3", "fd00::/8"),
        ("[fd12::1]", "10.0.0.0/8"),
        ("10.1.2.3", "10.1"),
        # What can't be understood means nothing.
        ("host", "fd00::/8"),
        ("host", "10.0.0.0/99"),
        ("host", "[::1"),
        ("host", "://, :, ., *., /,,"),
        ("10.1.2.3", "10.0.0.0/99 [ ]"),
    ],
)
def test_no_exceptions(host: str, no_proxy: str) -> None:
    assert find_proxy(f"http://{host}/v1", {"http": P, "no": no_proxy}) == P
