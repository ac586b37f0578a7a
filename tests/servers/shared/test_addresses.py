"""The addresses that servers tell."""

import pytest
import trio

from trio_agent.servers._shared.addresses import address_of


@pytest.mark.parametrize(
    ("host", "scheme", "begin"),
    [("127.0.0.1", "http", "http://127.0.0.1:"), ("::1", "ws", "ws://[::1]:")],
)
async def test_address_can_be_connected_to(host: str, scheme: str, begin: str) -> None:
    try:
        [listener] = await trio.open_tcp_listeners(0, host=host)
    except OSError as exc:
        pytest.skip(f"{host} can't be bound here: {exc}")
    async with listener:
        address = address_of(listener, scheme)
        assert address == f"{begin}{listener.socket.getsockname()[1]}"
        async with await trio.open_tcp_stream(host, int(address.rpartition(":")[2])):
            pass
