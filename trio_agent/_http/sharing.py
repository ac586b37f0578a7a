"""Connections to one place that all who ask there have in common, within one `trio.run`.

The rules. What is shared are connections, and nothing that was said on them: cookies and headers
stay with each one's client. Who comes first makes them, who leaves last closes them; that is never
cut short, for httpcore shields it, and closing a socket does not wait.
"""

from collections.abc import Callable, Hashable
from typing import TypeAlias

import attrs
import trio

from .library import httpx


@attrs.define(eq=False)
class _Shared:
    transport: httpx.AsyncBaseTransport
    users: int = 0


_Places: TypeAlias = dict[Hashable, _Shared]

_places: trio.lowlevel.RunVar[_Places] = trio.lowlevel.RunVar("trio_agent connections")


class Share(httpx.AsyncBaseTransport):
    """One's share of the connections to a place. Closing it gives it back.

    Args:
        place: what these connections lead to, and by which way.
        make: makes the transport that has them, if nobody has a share of it yet.

    Raises:
        Exception: as `make` raises it; then there is nothing to close.
    """

    def __init__(self, place: Hashable, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._places = _places_of_this_run()
        self._place = place
        shared = self._places.get(place)
        if shared is None:
            shared = self._places[place] = _Shared(make())
        shared.users += 1
        self._shared = shared

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response, whose body is not read yet."""
        return await self._shared.transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Give the share back, once. The last one closes the connections."""
        self._shared.users -= 1
        if not self._shared.users:
            # Who comes while they are being closed makes others.
            del self._places[self._place]
            await self._shared.transport.aclose()


def _places_of_this_run() -> _Places:
    try:
        return _places.get()
    except LookupError:
        places: _Places = {}
        _places.set(places)
        return places
