"""A real Chromium in front of a real server process, for the tests of the page."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import attrs
from page_events import Event, stream
from process_kit import environment

CHROMIUM: Final = os.environ.get("CHROMIUM") or shutil.which("chromium")

MISSING: Final = (
    "there is no chromium (apt-get install chromium)"
    if CHROMIUM is None
    else "there is no playwright (pip install playwright)"
    if find_spec("playwright") is None
    else None
)
"""Why the page can't be tested here; None if it can."""

_ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PATIENCE: Final = 15_000
"""Milliseconds that the page may take on a busy machine."""

_WATCH: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
"""


@attrs.frozen
class PageServer:
    """The process, and the test's hand on its models."""

    url: str
    folder: Path

    def allow(self, name: str) -> None:
        """Let go on what waits for this name."""
        (self.folder / name).touch()


@contextmanager
def open_page_server(folder: Path, *options: str) -> Iterator[PageServer]:
    """Run the server of `page_server.py` in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("page_server.py")), str(folder)]
    with subprocess.Popen(
        [*command, *options], env=environment(measured=False), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield PageServer(process.stdout.readline().strip(), folder)
        finally:
            process.kill()


@contextmanager
def open_browser() -> Iterator[Any]:
    """Start Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


RUN: Final = "a" * 32
"""The run whose log is made by hand."""


class HandLog:
    """A log that is made by hand, and the page that follows it as if it were the server's.

    Args:
        page: nothing is opened in it yet.
        url: of a server.
    """

    def __init__(self, page: Any, url: str) -> None:
        self._page = page
        self._events: list[Event] = []
        self._asking: Any = None
        page.route("**/events", self._answer)
        page.route(f"**/runs/{RUN}", lambda route: route.fulfill(json=self._view))
        self._address = f"{url}/#run={RUN}"

    def show(self, *events: Event) -> Any:
        """Open the page at this log; returns where it says what the run said."""
        self._events += events
        self._page.goto(self._address)
        return self._shown()

    def tell(self, *events: Event) -> None:
        """The run goes on."""
        self._events += events
        self._serve()
        self._shown()

    @property
    def _view(self) -> dict[str, Any]:
        return {"status": "active", "cursor": f"{RUN}.e.{len(self._events)}"}

    def _shown(self) -> Any:
        from playwright.sync_api import expect

        expect(self._page.locator(".figures")).to_contain_text(f"events{len(self._events)}")
        return self._page.locator(".transcript > .stream")

    def _answer(self, route: Any) -> None:
        self._asking = route
        self._serve()

    def _serve(self) -> None:
        """Answer with what is new; without anything new who asks waits."""
        if self._asking is None:
            return
        cursor = self._asking.request.headers.get("last-event-id", "0")
        after = int(cursor.rpartition(".")[2])
        if after < len(self._events):
            body = stream(RUN, self._events[after:], after + 1)
            self._asking.fulfill(body=body, content_type="text/event-stream")
            self._asking = None


@attrs.define
class Complaints:
    """What a page's console said and its policy refused."""

    lines: list[str] = attrs.field(factory=list)

    def heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.lines.append(f"{message.type}: {message.text}")


@contextmanager
def open_page(browser: Any, **settings: Any) -> Iterator[tuple[Any, Complaints]]:
    """Open an empty page whose errors and violations of its policy are collected."""
    settings = {"viewport": {"width": 1180, "height": 760}, **settings}
    context = browser.new_context(**settings)
    complaints = Complaints()
    try:
        context.set_default_timeout(PATIENCE)
        context.add_init_script(_WATCH)
        page = context.new_page()
        page.on("console", lambda message: complaints.heard(message))
        page.on("pageerror", lambda error: complaints.lines.append(f"exception: {error}"))
        yield page, complaints
        complaints.lines += page.evaluate("window.violations ?? []")
    finally:
        context.close()


_COLOURS = """(element) => {
  const colour = (node) => getComputedStyle(node).backgroundColor;
  let behind = element;
  while (/, 0\\)$|transparent/.test(colour(behind))) behind = behind.parentElement;
  return [getComputedStyle(element).color, colour(behind)];
}"""


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of ``rgb(r, g, b)``."""
    channels = [int(value) / 255 for value in re.findall(r"[0-9]+", colour)[:3]]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrasts(page: Any, *selectors: str) -> Iterator[tuple[str, float]]:
    """Return how much the text of each first element stands out (WCAG 2.2: 1 to 21)."""
    for selector in selectors:
        colours = page.locator(selector).first.evaluate(_COLOURS)
        dark, light = sorted(map(luminance, colours))
        yield selector, (light + 0.05) / (dark + 0.05)
