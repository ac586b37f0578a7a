"""How the files of the page are served."""

import hashlib
import re
from pathlib import Path

import pytest
from server_kit import StepModel, open_server

import trio_agent.servers
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.servers.http._page import PATHS

FOLDER = Path(trio_agent.servers.__file__).parent / "http" / "page"
TOKENS = bearer_tokens({"alice": "alice-has-a-token"})
SETTINGS = "/page/settings.json"


def file_of(path: str) -> Path:
    return FOLDER / (path.rpartition("/")[2] or "index.html")


@pytest.mark.parametrize("path", [path for path in PATHS if path != SETTINGS])
class TestFiles:
    async def test_is_served_to_everybody(self, path: str) -> None:
        async with open_server(StepModel(), guard=Guard(authorize=TOKENS)) as server:
            answer = await server.request("GET", path)
            body = file_of(path).read_bytes()
            assert (answer.status, answer.body) == (200, body)
            kind = {".html": "html", ".css": "css", ".js": "javascript"}[file_of(path).suffix]
            assert answer.headers["content-type"] == f"text/{kind}; charset=utf-8"
            assert answer.headers["cache-control"] == "no-cache"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"

    async def test_head(self, path: str) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            get = await client.request("GET", path)
            await client.send("HEAD", path)
            head = await client.receive_head()
            assert (head.status, head.headers["content-length"]) == (200, str(len(get.body)))
            assert head.headers["etag"] == get.headers["etag"]

    async def test_etag(self, path: str) -> None:
        async with open_server(StepModel()) as server:
            etag = (await server.request("GET", path)).headers["etag"]
            assert etag == f'"{hashlib.sha256(file_of(path).read_bytes()).hexdigest()[:32]}"'
            for known, status in [
                (etag, 304),
                (f"W/{etag}", 304),
                (f'"other", {etag}', 304),
                ('"other"', 200),
                (etag.strip('"'), 200),
            ]:
                answer = await server.request("GET", path, {"If-None-Match": known})
                assert answer.status == status, known
                assert answer.headers["etag"] == etag
                assert (answer.body == b"") == (status == 304)

    async def test_other_methods(self, path: str) -> None:
        async with open_server(StepModel()) as server:
            answer = await server.request("PUT", path, {"Content-Length": "0"})
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")

    def test_names_no_other_host(self, path: str) -> None:
        """Nothing of the page comes from elsewhere."""
        text = file_of(path).read_text()
        hosts = re.findall(r"https?:(?://|%2F%2F)[\w.-]+", text, re.IGNORECASE)
        assert set(hosts) <= {"http://www.w3.org"}  # the namespace of SVG

    def test_has_nothing_inline(self, path: str) -> None:
        text = file_of(path).read_text()
        for forbidden in (
            r"<style",
            r"\sstyle=",
            r"\son\w+=",
            r"<script>",
            "innerHTML",
            r"\beval\(",
        ):
            assert not re.search(forbidden, text), forbidden


class TestPolicy:
    async def test_without_websocket(self) -> None:
        async with open_server(StepModel()) as server:
            answer = await server.request("GET", "/")
            assert answer.headers["content-security-policy"].split("; ") == [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src data:",
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            ]
            settings = await server.request("GET", SETTINGS)
            assert settings.json == {"websocketPort": None}

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "example.com:80"])
    async def test_with_websocket(self, host: str) -> None:
        guard = Guard(hosts=["localhost", "127.0.0.1", "example.com"], authorize=TOKENS)
        port: int | None = None
        async with open_server(StepModel(), guard=guard, websocket_port=lambda: port) as server:
            port = 8123  # known only when both servers listen
            answer = await server.request("GET", "/", host=host)
            name = host.partition(":")[0]
            connect = f"connect-src 'self' ws://{name}:8123 wss://{name}:8123"
            assert connect in answer.headers["content-security-policy"].split("; ")
            settings = await server.request("GET", SETTINGS)
            assert settings.json == {"websocketPort": 8123}

    async def test_strange_host(self) -> None:
        async with open_server(StepModel(), websocket_port=lambda: 1) as server:
            answer = await server.request("GET", "/", host="x; script-src *")
            assert answer.status == 400


class TestNeighbours:
    @pytest.mark.parametrize(
        "path", ["/page", "/page/", "/page/nope.js", "/page/../_page.py", "/page/screenshot.png"]
    )
    async def test_nothing_else_is_served(self, path: str) -> None:
        async with open_server(StepModel()) as server:
            assert (await server.request("GET", path)).status == 404

    async def test_a_link_from_elsewhere_opens_the_page_and_nothing_more(self) -> None:
        async with open_server(StepModel()) as server:
            headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
            assert (await server.request("GET", "/", headers)).status == 200
            assert (await server.request("GET", "/page/app.js", headers)).status == 403
