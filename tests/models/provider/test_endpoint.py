"""Where requests go, with which key and headers."""

from typing import Any

import attrs
import pytest
import trio

from trio_agent._errors import ModelError
from trio_agent.models._provider._endpoint import (
    Endpoint,
    KeySource,
    check_header,
    check_headers,
    check_key,
)
from trio_agent.models.openai._model import OPENAI


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("text", "base_url", "query"),
    [
        ("http://h/v1", "http://h/v1", ""),
        ("http://h/v1/", "http://h/v1", ""),
        (" http://h/v1//\n", "http://h/v1", ""),
        ("http://h", "http://h", ""),
        ("http://h/v1/chat/completions", "http://h/v1", ""),
        ("http://h/v1/chat/completions/", "http://h/v1", ""),
        ("https://h:1/d/x?api-version=1", "https://h:1/d/x", "?api-version=1"),
        ("https://h/d/x/chat/completions?a=1&b=2#c", "https://h/d/x", "?a=1&b=2"),
        ("http://h/v1?", "http://h/v1", ""),
        ("HTTP://[::1]:8000/v1", "http://[::1]:8000/v1", ""),
    ],
)
def test_the_url_that_people_paste(
    text: str, base_url: str, query: str, environment: pytest.MonkeyPatch
) -> None:
    endpoint = Endpoint.find(OPENAI, text, None, {})
    assert (endpoint.base_url, endpoint.query) == (base_url, query)
    environment.setenv("OPENAI_BASE_URL", text)
    assert Endpoint.find(OPENAI, None, None, {}) == endpoint


@pytest.mark.parametrize(
    "text", ["h/v1", "ftp://h", "http:///v1", "h:80", "http://[::1", "http://h:x", "http://h:70000"]
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError, match="must look like https://host/v1"):
        Endpoint.find(OPENAI, text, None, {})


@pytest.mark.parametrize("url", [None, OPENAI.base_url, f"{OPENAI.base_url}/chat/completions"])
def test_openai_wants_a_key_or_a_header(url: str | None) -> None:
    with pytest.raises(ValueError, match="no API key: set OPENAI_API_KEY"):
        Endpoint.find(OPENAI, url, None, {})
    assert (
        Endpoint.find(OPENAI, url, None, {"Authorization": "Bearer x"}).base_url == OPENAI.base_url
    )


async def key_of(source: KeySource | None) -> str:
    return await Endpoint.find(OPENAI, "http://h", source, {}).key()


async def fetch() -> str:
    await trio.lowlevel.checkpoint()
    return " sk-3\n"


async def test_the_key(environment: pytest.MonkeyPatch) -> None:
    assert await key_of(None) == ""
    assert await key_of(" sk-1\n") == "sk-1"
    assert await key_of(lambda: "sk-2") == "sk-2"
    assert await key_of(fetch) == "sk-3"
    environment.setenv("OPENAI_API_KEY", "sk-env")
    assert await key_of(None) == "sk-env"
    assert await key_of(lambda: "") == ""


async def test_the_key_is_asked_for_each_time() -> None:
    keys = iter(["a", "b"])
    endpoint = Endpoint.find(OPENAI, "http://h", lambda: next(keys), {})
    assert [await endpoint.key(), await endpoint.key()] == ["a", "b"]


def raises(error: Exception) -> Any:
    def key() -> str:
        raise error

    return key


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (raises(OSError("secret")), r"^auth: api_key\(\) failed \(OSError\)$"),
        (lambda: "sk-€secret", r"^auth: api_key\(\) failed \(ValueError\)$"),
        (lambda: None, r"^auth: api_key\(\) failed \(TypeError\)$"),
        (raises(ModelError("quota", "as it is")), "^quota: as it is$"),
    ],
)
async def test_a_key_that_can_not_be_had(source: KeySource, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        await key_of(source)


def test_headers() -> None:
    endpoint = Endpoint.find(OPENAI, "http://h", "k", {"X-Title": "t", "AUTHORIZATION": "mine"})
    assert endpoint.headers("k") == {"x-title": "t", "authorization": "mine"}
    assert Endpoint.find(OPENAI, "http://h", None, {}).headers("k") == {"authorization": "Bearer k"}
    assert Endpoint.find(OPENAI, "http://h", None, {}).headers("") == {}
    assert "mine" not in repr(endpoint)


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({}, "key"),
        ({"X-Title": "t"}, "key"),
        ({"Api-Key": "mine"}, "mine"),
        ({"Authorization": "Bearer mine"}, "mine"),
    ],
)
def test_what_nobody_may_repeat(headers: dict[str, str], secret: str) -> None:
    assert Endpoint.find(OPENAI, "http://h", None, headers).secret("key") == secret


@attrs.frozen
class Config:
    api_key: Any = attrs.field(default=None, validator=check_key)
    headers: Any = attrs.field(factory=dict, validator=check_headers)
    organization: Any = attrs.field(default=None, validator=check_header)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"headers": {"": "x"}}, "headers: '' is no name of a header"),
        ({"headers": {"a b": "x"}}, "'a b' is no name"),
        ({"headers": {"x": "secret\r\n"}}, "headers: 'x' has no text that a header can carry"),
        ({"headers": {"x": "secret€"}}, "'x' has no text"),
        ({"headers": {"x": 1}}, "'x' has no text"),
        ({"headers": {"Host": "x"}}, "'Host' is set by the request itself"),
        ({"organization": "secret\n"}, "organization: that is no text"),
        ({"api_key": b"secret"}, "api_key is a str or a function, not bytes"),
    ],
)
def test_what_can_not_be_sent_is_refused_and_not_shown(
    config: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as info:
        Config(**config)
    assert "secret" not in str(info.value)


def test_what_can_be_sent() -> None:
    Config("key", {"HTTP-Referer": "https://x", "X_Y.z": ""}, "org-1")
    Config(fetch)
