"""What the URL of a server is."""

import pytest
from client_kit import END, STREAM, head_of, receive_all
from proxy_kit import canned

from trio_agent.client import open_client


class TestURL:
    @pytest.mark.parametrize(
        "url",
        ["", "localhost:8000", "127.0.0.1", "http://", "ftp://a", "sqlite:runs.db", "http://[::1"],
    )
    async def test_what_is_none(self, url: str) -> None:
        with pytest.raises(ValueError):
            async with open_client(url):
                pass

    async def test_a_prefix(self) -> None:
        for end in ("/agents", "/agents/"):
            async with canned(STREAM + END % 1) as (url, requests):
                await receive_all(url + end)
            assert head_of(requests[0])[0] == "GET /agents/runs/r/events"
