"""The baseline: what it costs to pass a stream on with httpx and Hypercorn and do nothing else.

Each read of the upstream response becomes one ASGI send. No log, no resumption, no second
viewer, no cancellation, no limits: an application that has any of these costs more.
"""

import sys
from collections.abc import Mapping
from typing import Any

import httpx
import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from benchmarks.languages import LANGUAGES


class Passthrough:
    """Forwards each request to one URL, and the answer back as it comes."""

    def __init__(self, client: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> None:
        self._client = client
        self._url = url
        self._headers = headers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        headers = {"content-type": "application/json", **self._headers}
        async with self._client.stream(
            "POST", self._url, content=body, headers=headers
        ) as response:
            head = [(b"content-type", response.headers["content-type"].encode())]
            await send(
                {"type": "http.response.start", "status": response.status_code, "headers": head}
            )
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def main(base_url: str, language: str = "openai") -> None:
    spoken = LANGUAGES[language]
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None  # where it would announce itself
    async with httpx.AsyncClient(timeout=None) as client, trio.open_nursery() as nursery:
        app = Passthrough(client, base_url + spoken.path, spoken.headers)
        [address] = await nursery.start(serve, app, config)
        print(address, flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
