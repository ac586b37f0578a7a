"""What tests of the client share: answers of servers, byte by byte, and all that a run says."""

import json
from collections.abc import Iterable
from typing import Any

from trio_agent import Cursor
from trio_agent.client import RemoteEvent, open_client

EVENT = b'data: {"type":"text-delta","at":1,"delta":"%b"}\nid: r.e.%d\n\n'
END = b'data: {"type":"error","at":1,"error":{"code":"x","message":"y"}}\nid: r.e.%d\n\n'
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
DONE = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


def answer(status: int, body: object) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    return head.encode() + data


def error(status: int, code: str) -> bytes:
    return answer(status, {"error": {"code": code, "message": f"because {code}"}})


def head_of(request: bytes) -> tuple[str, dict[str, str]]:
    """The request line without its version, and the headers."""
    line, *fields = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    return line.rpartition(" ")[0], {name.lower(): value for name, value in headers.items()}


async def receive_all(
    url: str, run_id: str = "r", *, after: Cursor | str = "", **settings: Any
) -> list[RemoteEvent]:
    async with open_client(url, **settings) as client, client.subscribe(run_id, after=after) as sub:
        return [event async for event in sub]


def pairs(events: Iterable[RemoteEvent]) -> list[tuple[str, bytes]]:
    return [(event.cursor, event.data.encode()) for event in events]
