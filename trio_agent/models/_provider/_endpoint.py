"""Where requests go, and with which headers: what was configured, or else the environment.

The rule: what people paste is understood. The URL may be that of an API or of its conversations,
with or without a slash behind it, and keeps its query (Azure's `api-version`).
"""

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Self, TypeAlias
from urllib.parse import SplitResult, urlsplit

import attrs

from ..._errors import ModelError

KeySource: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""An API key, or what is asked for one before each request."""

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_KEY_HEADERS: Final = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
_OURS: Final = frozenset({"content-length", "content-type", "host", "transfer-encoding"})


@attrs.frozen(kw_only=True)
class Provider:
    """An API: where it is if nothing else is said, and what it wants to be told."""

    id: str
    """Names its language where answers of several providers are kept."""
    title: str
    """Whose API it is, for people."""
    base_url: str
    """Where its own endpoint is."""
    variables: str
    """What its environment variables begin with: ``..._BASE_URL`` and ``..._API_KEY``."""
    path: str
    """Of its conversations."""
    suffixes: tuple[str, ...]
    """What may stand behind its base URL when a person pastes it, the longest first."""
    models_path: str = "/models"
    """Of its list of models."""
    key_header: str = "authorization"
    key_prefix: str = "Bearer "
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """For every request."""


@attrs.frozen
class Endpoint:
    """An API, and what it is to be told with each request."""

    provider: Provider
    base_url: str
    """Where paths are appended."""
    query: str
    """What stands behind each path: nothing, or a question mark and more."""
    _headers: Mapping[str, str] = attrs.field(repr=False)
    _key: KeySource = attrs.field(repr=False)

    @classmethod
    def find(
        cls,
        provider: Provider,
        base_url: str | None,
        api_key: KeySource | None,
        headers: Mapping[str, str],
    ) -> Self:
        """Take what was configured, or else the environment.

        Args:
            provider: whose API it is.
            base_url: as a person writes it.
            api_key: the key, or what is asked for it.
            headers: to send with each request; they win over what is made here.

        Raises:
            ValueError: the URL is none, or the key is missing or unusable.
        """
        names = f"{provider.variables}_BASE_URL", f"{provider.variables}_API_KEY"
        url_variable, key_variable = names
        text = (base_url or os.environ.get(url_variable) or provider.base_url).strip()
        url = _split(text, url_variable)
        path = url.path.rstrip("/")
        for suffix in provider.suffixes:
            path = path.removesuffix(suffix).rstrip("/")
        base = f"{url.scheme}://{url.netloc}{path}"
        headers = {name.lower(): value for name, value in headers.items()}
        key = api_key
        if not callable(key):
            key = _usable_key(key or os.environ.get(key_variable) or "", key_variable)
            if not key and base == provider.base_url and not headers.keys() & {*_KEY_HEADERS}:
                raise ValueError(
                    f"no API key: set {key_variable}, or pass api_key=; for another endpoint than"
                    f" {provider.title}'s set {url_variable}, or pass base_url="
                )
        return cls(provider, base, f"?{url.query}" if url.query else "", headers, key)

    @property
    def origin(self) -> str:
        """Whose answers these are: what one endpoint has signed or sealed, no other can read."""
        host = urlsplit(self.base_url).netloc.rpartition("@")[2].lower()
        return f"{self.provider.id}@{host}"

    async def key(self) -> str:
        """Return the key, or an empty text if there is none. A checkpoint only if it is asked for.

        Raises:
            ModelError: `auth`: there is no telling; or as the callable raised it.
        """
        if isinstance(self._key, str):
            return self._key
        try:
            key = self._key()
            text = key if isinstance(key, str) else await key
            return _usable_key(text, f"{self.provider.variables}_API_KEY")
        except ModelError:
            raise
        except Exception as exc:
            # Whoever fetches keys may say secrets in an error.
            raise ModelError("auth", f"api_key() failed ({type(exc).__name__})") from exc

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers of a request."""
        provider = self.provider
        own = {provider.key_header: f"{provider.key_prefix}{key}"} if key else {}
        return {**own, **provider.headers, **self._headers}

    def secret(self, key: str) -> str:
        """Return what nobody may repeat: the key, or what a header says in its place."""
        for name in _KEY_HEADERS:
            if value := self._headers.get(name):
                return value.rpartition(" ")[2]
        return key


def _split(text: str, variable: str) -> SplitResult:
    try:
        url = urlsplit(text)
        if url.scheme in ("http", "https") and url.hostname and url.port != 0:
            return url
    except ValueError:
        pass
    raise ValueError(f"base_url (or {variable}) must look like https://host/v1")


def check_key(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Refuse what is no key, without showing it."""
    if not (value is None or isinstance(value, str) or callable(value)):
        raise TypeError(f"{attribute.name} is a str or a function, not {type(value).__name__}")


def check_header(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Refuse what no header can carry."""
    if value is not None and not _fits_header(value):
        raise ValueError(f"{attribute.name}: that is no text that a header can carry")


def check_headers(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Refuse headers that can't be sent, without showing what they say."""
    for name, text in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{attribute.name}: {name!r} is no name of a header")
        if name.lower() in _OURS:
            raise ValueError(f"{attribute.name}: {name!r} is set by the request itself: remove it")
        if not _fits_header(text):
            raise ValueError(f"{attribute.name}: {name!r} has no text that a header can carry")


def _fits_header(text: Any) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable()


def _usable_key(key: str, variable: str) -> str:
    key = key.strip()
    if not _fits_header(key):
        raise ValueError(f"api_key (or {variable}) has characters that no HTTP header can carry")
    return key
