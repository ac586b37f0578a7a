"""What the exceptions of HTTP libraries mean."""

import pickle
from collections.abc import Iterator

import httpx
import pytest
import trio
from http_kit import post

from trio_agent._errors import TrioAgentError
from trio_agent._http.errors import TransportError, transport_error
from trio_agent._http.transport import open_transport

CODES = {
    "CloseError": "cut-stream",
    "ConnectError": "connect",
    "ConnectTimeout": "timeout-connect",
    "InvalidURL": "connect",
    "LocalProtocolError": "cut-stream",
    "NetworkError": "cut-stream",
    "PoolTimeout": "cut-stream",
    "ProtocolError": "cut-stream",
    "ProxyError": "connect",
    "ReadError": "cut-stream",
    "ReadTimeout": "cut-stream",
    "RemoteProtocolError": "cut-stream",
    "SSEError": "cut-stream",
    "TimeoutException": "cut-stream",
    "TransportError": "cut-stream",
    "UnsupportedProtocol": "connect",
    "WriteError": "cut-stream",
    "WriteTimeout": "cut-stream",
}

# As another library with the API of httpx has them.
OtherTransportError = type("TransportError", (Exception,), {})
OtherConnectError = type("ConnectError", (OtherTransportError,), {})
OtherReadError = type("ReadError", (OtherTransportError,), {})


class Broken(httpx.AsyncBaseTransport):
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OtherConnectError("x"), "connect"),
        (OtherReadError(), "cut-stream"),
        (httpx.ProxyError("x"), "connect"),
        (httpx.WriteTimeout("x"), "cut-stream"),
        (httpx.ConnectTimeout("x"), "timeout-connect"),
    ],
)
async def test_errors_are_told_by_name(error: Exception, code: str) -> None:
    client = httpx.AsyncClient(transport=Broken(error))
    async with (
        open_transport("http://x", client=client) as transport,
        post(transport) as response,
    ):
        with pytest.raises(TransportError) as info:
            await response.head()
    assert info.value.code == code
    assert info.value.message
    assert info.value.__cause__ is error


async def test_a_bug_is_no_transport_error() -> None:
    client = httpx.AsyncClient(transport=Broken(KeyError()))
    with pytest.RaisesGroup(KeyError):
        async with (
            open_transport("http://x", client=client) as transport,
            post(transport) as response,
        ):
            await response.head()


def exceptions_of(library: str) -> Iterator[type[Exception]]:
    module = pytest.importorskip(library, exc_type=ImportError)
    for name in module.__all__:
        cls = getattr(module, name)
        if isinstance(cls, type) and issubclass(cls, Exception):
            yield cls


@pytest.mark.parametrize("library", ["httpx", "httpx2", "httpcore", "httpcore2"])
def test_each_exception_of_a_library(library: str) -> None:
    """Those that are not named are about no connection."""
    told = {}
    for cls in exceptions_of(library):
        error = transport_error(cls.__new__(cls, "x"))
        told[cls.__name__] = None if error is None else error.code
    assert told == {name: CODES.get(name) for name in told}
    assert {code for code in told.values() if code} == {"connect", "timeout-connect", "cut-stream"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OtherConnectError("no route"), "no route"),
        (OtherConnectError(""), "ConnectError"),
        (type("Refused", (OtherConnectError,), {})(), "Refused"),
    ],
)
def test_what_it_says(error: Exception, message: str) -> None:
    told = transport_error(error)
    assert told is not None
    assert (told.code, told.message, str(told)) == ("connect", message, f"connect: {message}")


@pytest.mark.parametrize(
    ("bases", "code"),
    [
        (("TimeoutException", "TransportError"), "cut-stream"),
        (("ConnectTimeout", "TimeoutException", "TransportError"), "timeout-connect"),
        (("Special", "ConnectError", "NetworkError", "TransportError"), "connect"),
        (("Special", "Other"), None),
    ],
)
def test_the_most_specific_name_decides(bases: tuple[str, ...], code: str | None) -> None:
    cls: type[Exception] = Exception
    for name in reversed(bases):
        cls = type(name, (cls,), {})
    error = transport_error(cls("x"))
    assert (None if error is None else error.code) == code


def test_an_error_is_one_of_ours_and_can_be_sent_elsewhere() -> None:
    error = TransportError("connect", "no route")
    assert isinstance(error, TrioAgentError)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (TransportError, "connect: no route")
    assert (copy.code, copy.message) == ("connect", "no route")
