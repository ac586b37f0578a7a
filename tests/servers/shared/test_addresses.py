"""The addresses that servers bind and tell."""

import pytest
import trio

from trio_agent.servers import Guard, bearer_tokens
from trio_agent.servers._shared.addresses import address_of, is_loopback, require_guard


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


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_what_only_this_machine_reaches_needs_no_guard(host: str) -> None:
    assert is_loopback(host)
    require_guard(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "agents.example.com"])
def test_what_others_reach_asks_them_who_they_are(host: str) -> None:
    assert not is_loopback(host)
    for guard in (None, Guard(hosts=["agents.example.com"])):
        with pytest.raises(ValueError, match="without authorize only loopback addresses"):
            require_guard(host, guard)
    require_guard(host, Guard(authorize=bearer_tokens({"alice": "a-secret-of-alice"})))
