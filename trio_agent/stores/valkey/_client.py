"""Connections to Valkey through `valkey-glide`, whose errors end here.

The import is lazy: only who uses the store needs the extra.
"""

import math
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import trio

from ..._errors import StoreUnavailable
from ._script import Call
from ._url import ValkeyAddress

if TYPE_CHECKING:
    import glide

    Glide: TypeAlias = glide.GlideClient | glide.GlideClusterClient

_RETRY: Final = (0.02, 0.5)
"""Seconds before a call is repeated: the first time, and at most."""

_IN_FLIGHT: Final = 100_000
"""Commands under way that glide accepts: more than a store ever has."""

_REFUSALS: Final = {
    "WRONGPASS": "wrong user or password",
    "NOAUTH": "it wants a password",
    "PermissionDenied": "its access rules forbid this",
    "OOM": "it is full",
    "MISCONF": "it can't write to its disk",
    "ResponseError: user_script": "a key of this store holds something else than it should",
    "WRONGTYPE": "a key of this store holds something else than it should",
    "No topology views found- ResponseError": "it is no cluster: leave out ?cluster=true",
    "unknown command": "it is older than Valkey 7.2 or Redis 6.2",
}
"""What waiting doesn't help against, by a piece of glide's message."""

_ALONE: Final = {"- Moved": "it is a cluster: add ?cluster=true to the URL"}
"""The same where no cluster is expected, in which slots may move."""

_CODE: Final = re.compile(r"signalled by the server: - (\w{1,40})|^([A-Z]{4,40}):")


def require_glide() -> None:
    """Import `glide`, and keep it from writing to our standard streams.

    A logger of glide's that you have set up yourself stays as it is.

    Raises:
        ModuleNotFoundError: the extra is not installed.
    """
    try:
        import glide
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            "ValkeyStore needs valkey-glide: pip install 'trio-agent[valkey]'", name=exc.name
        ) from exc
    glide.Logger.init(glide.LogLevel.OFF)


@attrs.frozen
class ValkeyConnector:
    """Opens connections to one address."""

    address: ValkeyAddress
    request_timeout: float
    """Seconds that one attempt to connect or to get an answer may take."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Glide"]:
        """Make a client, which connects when it is used, and again whenever it has to.

        Raises:
            StoreUnavailable: the certificates can't be used.
        """
        import glide

        try:
            client = await self._create()
        except (OSError, glide.GlideError) as exc:
            raise StoreUnavailable(f"can't prepare a connection to {self.address}") from exc
        try:
            yield client
        finally:
            await client.close()  # noqa: ASYNC102  (it never waits)

    async def _create(self) -> "Glide":
        import glide

        address = self.address
        tls = credentials = None
        if address.cacert is not None:
            cacert = await trio.Path(address.cacert).read_bytes()
            tls = glide.TlsAdvancedConfiguration(root_pem_cacerts=cacert)
        if address.password is not None:
            credentials = glide.ServerCredentials(address.password, address.username)
        milliseconds = round(self.request_timeout * 1000)
        options: dict[str, Any] = {
            "addresses": [glide.NodeAddress(address.host, address.port)],
            "use_tls": address.tls,
            "credentials": credentials,
            "database_id": address.database or None,
            "request_timeout": milliseconds,
            "reconnect_strategy": glide.BackoffStrategy(5, factor=20, exponent_base=2),
            "inflight_requests_limit": _IN_FLIGHT,
            # To connect at once would block the thread, and with it all of Trio.
            "lazy_connect": True,
        }
        if address.cluster:
            options["advanced_config"] = glide.AdvancedGlideClusterClientConfiguration(
                milliseconds, tls
            )
            return await glide.GlideClusterClient.create(
                glide.GlideClusterClientConfiguration(**options)
            )
        options["advanced_config"] = glide.AdvancedGlideClientConfiguration(milliseconds, tls)
        return await glide.GlideClient.create(glide.GlideClientConfiguration(**options))


class ValkeyClient:
    """Calls scripts, and waits for a server that is away.

    Args:
        connection: used for nothing that blocks it.
        address: for error messages.
        patience: seconds within which calls succeed or fail.
    """

    def __init__(self, connection: "Glide", address: ValkeyAddress, *, patience: float) -> None:
        self._connection = connection
        self._address = address
        self._patience = patience

    async def call(self, call: Call) -> Any:
        """Call one script and return its reply. A checkpoint.

        Raises:
            As `call_all`.
        """
        [reply] = await self.call_all([call])
        return reply

    async def call_all(self, calls: Sequence[Call], *, patience: float = math.inf) -> Sequence[Any]:
        """Call scripts in one go, those of one slot in order; return the replies. A checkpoint.

        It takes no longer than the client's patience, or the given one.

        Cancelled, or with an error, each of them was called or not.

        Raises:
            StoreUnavailable: not all replied.
        """
        if not calls:
            await trio.lowlevel.checkpoint()
            return []
        why = "no answer"
        by_digest = True
        delay, longest = _RETRY
        patience = min(patience, self._patience)
        with trio.move_on_after(patience):
            while True:
                # All of them each time, not only what failed: order matters within a run.
                replies, failures = await self._send(calls, by_digest=by_digest)
                if not failures:
                    return replies
                if by_digest and any("NoScript" in failure for failure in failures):
                    by_digest = False
                    continue
                why = self._explain(failures[0])
                await trio.sleep(delay)
                delay = min(2 * delay, longest)
        raise StoreUnavailable(f"{self._address}: {why} within {patience:g} s")

    async def _send(
        self, calls: Sequence[Call], *, by_digest: bool
    ) -> tuple[Sequence[Any], Sequence[str]]:
        import glide

        try:
            if isinstance(self._connection, glide.GlideClusterClient):
                cluster_batch = glide.ClusterBatch(is_atomic=False)
                for call in calls:
                    cluster_batch.custom_command(call.command(by_digest=by_digest))
                replies = await self._connection.exec(cluster_batch, raise_on_error=False)
            else:
                batch = glide.Batch(is_atomic=False)
                for call in calls:
                    batch.custom_command(call.command(by_digest=by_digest))
                replies = await self._connection.exec(batch, raise_on_error=False)
        except glide.GlideError as exc:
            return (), [str(exc)]
        assert replies is not None  # None is for atomic batches.
        return replies, [str(reply) for reply in replies if isinstance(reply, glide.GlideError)]

    def _explain(self, failure: str) -> str:
        refusals = _REFUSALS if self._address.cluster else _REFUSALS | _ALONE
        for sign, why in refusals.items():
            if sign in failure:
                raise StoreUnavailable(f"{self._address} refuses: {why}")
        if "connect failed" in failure:
            return "no connection (are host, port, TLS and database right?)"
        # Nothing else of the message: it might repeat what was sent.
        code = _CODE.search(failure)
        return f"only {code[1] or code[2]}" if code else "no answer"
