"""Where a server is, and what may be said about that."""

import pytest

from trio_agent.tools.mcp._where import Command, Endpoint


@pytest.mark.parametrize(
    ("where", "name", "address"),
    [
        (Command("/opt/bin/mail-mcp", ("-v",), {}, None), "mail-mcp", "stdio:/opt/bin/mail-mcp"),
        (Endpoint("https://Example.com/mcp", {}), "example.com", "https://example.com"),
        (Endpoint("http://localhost:8000", {}), "localhost", "http://localhost:8000"),
    ],
)
def test_says(where: Command | Endpoint, name: str, address: str) -> None:
    assert (where.name, where.address) == (name, address)


@pytest.mark.parametrize(
    "where",
    [
        Command("mail", ("--key=hush",), {"KEY": "hush"}, "/home/hush"),
        Endpoint("https://hush:hush@example.com/hush?key=hush", {"Authorization": "hush"}),
    ],
)
def test_keeps_secrets(where: Command | Endpoint) -> None:
    assert "hush" not in f"{where!r} {where.name} {where.address}"


@pytest.mark.parametrize("url", ["example.com/mcp", "ftp://example.com", "http://", "stdio:x", ""])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="begins with http:// or https://"):
        Endpoint(url, {})
