"""Where a request is sent again, and where it never is."""

import pytest

from trio_agent._http.redirects import redirect_target

URL = "http://host/v1/x?a=1"


@pytest.mark.parametrize(
    ("method", "url", "status", "location", "target"),
    [
        ("POST", URL, 307, "/v2/x", "http://host/v2/x"),
        ("POST", URL, 308, "y?b=2", "http://host/v1/y?b=2"),
        ("POST", URL, 307, "http://HOST:80/v2", "http://HOST:80/v2"),
        ("POST", "http://host:8000/", 307, "http://host:8000/x", "http://host:8000/x"),
        ("POST", URL, 307, "https://host/v1/x", "https://host/v1/x"),
        ("GET", URL, 301, "/v2", "http://host/v2"),
        ("GET", URL, 302, "/v2", "http://host/v2"),
        ("GET", URL, 303, "/v2", "http://host/v2"),
        # The method may change.
        ("POST", URL, 301, "/v2", None),
        ("POST", URL, 302, "/v2", None),
        ("POST", URL, 303, "/v2", None),
        # Others would see the key.
        ("POST", URL, 307, "http://elsewhere/v1/x", None),
        ("POST", URL, 307, "//elsewhere/v1/x", None),
        ("POST", URL, 307, "http://host.elsewhere/v1/x", None),
        ("POST", URL, 307, "http://host:8000/v1/x", None),
        ("POST", URL, 307, "https://host:8443/v1/x", None),
        ("POST", "http://host:8000/", 307, "https://host/", None),
        ("POST", "https://host/", 307, "http://host/", None),
        ("GET", URL, 302, "http://elsewhere/", None),
        # That is no URL.
        ("POST", URL, 307, "", None),
        ("POST", URL, 307, "http://[::1", None),
        ("POST", URL, 307, "http://host:x/", None),
        ("POST", URL, 307, "file:///etc/passwd", None),
    ],
)
def test_the_same_request_goes_to_the_same_host(
    method: str, url: str, status: int, location: str, target: str | None
) -> None:
    assert redirect_target(method, url, status, location) == target
