"""Sub-agents, progress and output on the page, in a real Chromium: logs that are made by hand."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from page_events import (
    Event,
    agents,
    called,
    delta,
    event,
    finished,
    progress,
    result,
    started,
    step,
    within,
)
from page_kit import MISSING, PATIENCE, HandLog, open_browser, open_page, open_page_server
from page_server import NASTY

pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"THE PAGE IS NOT TESTED: {MISSING}")

if MISSING is None:
    from playwright.sync_api import Locator, Page, expect

    expect.set_options(timeout=PATIENCE)

DELTAS = 5000

Show = Callable[[Sequence[Event]], "Locator"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_page_server(tmp_path_factory.mktemp("hand")) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Any) -> Iterator["Page"]:
    """A page of which nothing may be in its console, and whose policy may refuse nothing."""
    with open_page(browser) as (page, complaints):
        yield page
    assert complaints.lines == []


@pytest.fixture
def show(page: "Page", url: str) -> Show:
    """Open the page at a run with this log, which need not have ended."""
    log = HandLog(page, url)
    return lambda events: log.show(*events)


STEP = step()


class TestSubAgents:
    CHILD = within(
        "c",
        started("lawyer"),
        STEP,
        delta("Hm.", "reasoning-delta"),
        delta("I look."),
        called("c/s", "search", q="law"),
        progress("c/s", "search", {"done": 1, "total": 4}),
    )

    def test_works_within_its_call(self, show: Show) -> None:
        own = [started("boss"), STEP, delta("I ask."), called("c", "ask_lawyer", prompt="?")]
        shown = show([*own, *self.CHILD])
        card = shown.locator("> .tool")
        expect(card).to_have_attribute("data-status", "running")
        nested = card.locator("> .nested")
        expect(nested.locator("> summary")).to_have_text("lawyer works")
        expect(nested.locator("> .stream > .text")).to_have_text("I look.")
        expect(nested.locator("> .stream > .reasoning .text")).to_have_text("Hm.")
        inner = nested.locator(".tool")
        expect(inner.locator(".name")).to_have_text("search")
        expect(inner.locator("progress")).to_have_js_property("value", 0.25)
        # What is within is no word of the run's own agent.
        assert shown.locator("> .text").all_text_contents() == ["I ask."]

    def test_folds_with_a_good_result(self, show: Show) -> None:
        ended = [result("c/s", "search", "§ 1"), delta(" It holds."), finished()]
        log = [started("boss"), STEP, called("c", "ask", prompt="?"), *self.CHILD]
        shown = show([*log, *within("c", *ended), result("c", "ask", "It holds."), finished()])
        nested = shown.locator("> .tool > .nested")
        expect(nested.locator("> summary")).to_have_text("lawyer finished")
        expect(nested.locator("> .stream")).to_be_hidden()
        expect(shown.locator("> .tool > .output")).to_have_text("It holds.")
        nested.locator("> summary").click()
        texts = nested.locator("> .stream > .text")
        expect(texts.nth(1)).to_be_visible()
        assert texts.all_text_contents() == ["I look.", " It holds."]
        # The run's end is told, the sub-agent's stands in its box.
        expect(shown.locator(".end")).to_have_count(1)

    def test_that_was_broken_off_stays_open(self, show: Show) -> None:
        log = [started("boss"), called("c", "ask"), *self.CHILD]
        shown = show([*log, result("c", "ask", "the server died", "unknown"), finished()])
        expect(shown.locator("> .tool > .nested > summary")).to_have_text("lawyer broken off")
        expect(shown.locator("> .tool > .nested > .stream > .text")).to_be_visible()
        # Marks are of their own boxes.
        expect(shown.locator("> .tool")).to_have_attribute("data-status", "unknown")
        expect(shown.locator(".nested .tool")).to_have_attribute("data-status", "running")

    def test_that_failed(self, show: Show) -> None:
        failed = event("error", error={"code": "auth", "message": "no <b>key</b>"})
        inner = within("c", started("lawyer"), failed)
        log = [started("boss"), called("c", "ask"), *inner]
        shown = show([*log, result("c", "ask", "no", "error"), delta("Well."), finished()])
        expect(shown.locator(".nested > summary")).to_have_text("lawyer failed")
        expect(shown.locator(".nested .end.error")).to_have_text("auth: no <b>key</b>")
        expect(shown.locator("> .text")).to_have_text("Well.")

    @pytest.mark.parametrize("width", [1180, 390])
    def test_ten_levels(self, page: "Page", show: Show, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 740})
        shown = show([started("boss"), *agents(10, STEP, delta("the innermost words"))])
        page.evaluate("for (const box of document.querySelectorAll('.nested')) box.open = true")
        text = shown.get_by_text("the innermost words")
        expect(text).to_be_visible()
        box = text.bounding_box()
        assert box is not None
        assert box["width"] > 100
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    def test_as_fast_as_the_runs_own_words(self, page: "Page", show: Show) -> None:
        """The page joins deltas in a row, at any level: one change of it for many events."""
        page.add_init_script(_COUNT_CHANGES)
        words = [delta(f"w{n} ") for n in range(DELTAS)]
        opened = agents(10, STEP, *words)
        expected = "".join(each["delta"] for each in words)
        shown = show([started("boss"), *opened, finished()])
        assert shown.locator(".text").last.text_content() == expected
        assert page.evaluate("window.changes") < DELTAS / 5


_COUNT_CHANGES = """
window.changes = 0;
new MutationObserver((found) => (window.changes += found.length)).observe(document, {
  subtree: true, childList: true, characterData: true,
});
"""


class TestProgress:
    @pytest.mark.parametrize(
        ("data", "share", "text"),
        [
            ({"done": 3, "total": 12}, 0.25, "3 of 12"),
            ({"progress": 3, "of": 4, "message": "books"}, 0.75, "3 of 4 books"),
            ({"progress": 0.5}, 0.5, "50 %"),
            ({"done": 9, "total": 3}, 1, "9 of 3"),
            ({"message": "<i>reading</i>"}, None, "<i>reading</i>"),
            ({"done": 3, "total": 0}, None, '{"done":3,"total":0}'),
            ({"done": "3", "total": {}}, None, '{"done":"3","total":{}}'),
            ([1, {"a": None}], None, '[1,{"a":null}]'),
            (None, None, "null"),
            (NASTY, None, NASTY),
            ("x" * 500, None, "x" * 199 + "…"),
        ],
    )
    def test_bar_or_words(self, show: Show, data: Any, share: float | None, text: str) -> None:
        log = [started("a"), called("c", "crawl"), progress("c", "crawl", 1)]
        shown = show([*log, progress("c", "crawl", data)])
        assert shown.locator(".progress span").text_content() == text
        bar = shown.locator("progress")
        if share is None:
            expect(bar).to_be_hidden()
        else:
            expect(bar).to_have_js_property("value", share)
            expect(bar).to_have_attribute("aria-label", "Progress of crawl")

    @pytest.mark.parametrize(("status", "visible"), [("ok", False), ("error", True)])
    def test_ends_with_the_call(self, show: Show, status: str, visible: bool) -> None:
        told = progress("c", "crawl", {"message": "page 7"})
        shown = show([started("a"), called("c", "crawl"), told, result("c", "crawl", "x", status)])
        expect(shown.locator(".progress")).to_be_visible(visible=visible)


class TestFiles:
    PIXEL = (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk"
        "Jggg=="
    )

    def shown(self, show: Show, *files: dict[str, str]) -> "Locator":
        ended = result("c", "plot", "a plot")
        ended["tool"]["files"] = [{"type": "file", **file} for file in files]
        log = [started("a"), STEP, called("c", "plot"), ended, finished()]
        return show(log).locator("> .tool > .file")

    def test_a_picture_is_shown(self, show: Show) -> None:
        picture = {"mediaType": "image/png", "data": self.PIXEL, "name": "plot.png"}
        shown = self.shown(show, picture)
        expect(shown).to_have_js_property("naturalWidth", 1)
        expect(shown).to_have_attribute("alt", "plot.png")

    def test_everything_else_is_named(self, show: Show, page: "Page") -> None:
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        shown = self.shown(
            show,
            {"mediaType": "image/svg+xml", "data": "AAAA", "name": "<img src=x onerror=alert(1)>"},
            {"mediaType": "text/html", "data": "AAAA" * 1024},
            {"mediaType": "image/png", "url": "https://elsewhere.invalid/x.png"},
            {"mediaType": 'image/png" onerror="alert(1)', "data": "AA=="},
        )
        expect(shown).to_have_text(
            [
                "<img src=x onerror=alert(1)> · image/svg+xml · 3 B",
                "text/html · 3 KiB",
                "image/png · https://elsewhere.invalid/x.png",
                'image/png" onerror="alert(1) · 1 B',
            ]
        )
        expect(shown.locator("img")).to_have_count(0)
        assert not [url for url in requested if "elsewhere" in url]


class TestOutput:
    PIECES = (delta('{"a": ', "output-delta"), delta('[1, "x', "output-delta"))

    def test_grows(self, show: Show) -> None:
        shown = show([started("a"), STEP, *self.PIECES])
        assert shown.locator("> .answer > pre").text_content() == '{"a": [1, "x'

    def test_is_whole_at_the_end(self, show: Show) -> None:
        end = finished(output={"a": [1, "<b>x</b>"]})
        shown = show([started("a"), STEP, *self.PIECES, delta('"]}', "output-delta"), end])
        assert shown.locator("> .answer > pre").text_content() == (
            '{\n  "a": [\n    1,\n    "<b>x</b>"\n  ]\n}'
        )

    def test_that_was_said_as_text(self, show: Show) -> None:
        shown = show([started("a"), STEP, delta("[1"), delta("]"), finished(output=[1])])
        assert shown.locator("> .answer > pre").text_content() == "[\n  1\n]"
        expect(shown.locator("> .text")).to_have_count(0)

    def test_null_is_one_that_no_delta_told(self, show: Show) -> None:
        shown = show([started("a"), STEP, finished(output=None)])
        expect(shown.locator("> .answer > pre")).to_have_text("null")

    def test_what_is_asked_again_is_struck(self, show: Show) -> None:
        again = event("output-retry", message="a: 2 <i>at most</i>")
        second = event("step-start", stepNumber=2)
        text = [delta("Here: "), *self.PIECES, again, second, delta("7", "output-delta")]
        shown = show([started("a"), STEP, *text, finished(output=7)])
        assert shown.locator("del").all_text_contents() == ['{"a": [1, "x']
        expect(shown.locator(".retry")).to_contain_text("a: 2 <i>at most</i>")
        assert shown.locator("> .answer").all_text_contents() == ["7"]
        assert shown.locator("> .text").all_text_contents() == ["Here: "]

    def test_text_where_an_output_was_asked_for(self, show: Show) -> None:
        again = event("output-retry", message="this is no JSON")
        shown = show([started("a"), STEP, delta("I"), delta(" can't."), again])
        assert shown.locator("del").all_text_contents() == ["I can't."]

    def test_an_earlier_step_is_no_part_of_it(self, show: Show) -> None:
        second = event("step-start", stepNumber=2)
        shown = show([started("a"), STEP, *self.PIECES, second, delta("7", "output-delta")])
        assert shown.locator("del").all_text_contents() == ['{"a": [1, "x']
        assert shown.locator("> .answer").all_text_contents() == ["7"]

    def test_of_a_sub_agent(self, show: Show) -> None:
        inner = within("c", started("lawyer"), STEP, *self.PIECES, finished(output=[1]))
        shown = show([started("boss"), called("c", "ask"), *inner])
        expect(shown.locator("> .answer")).to_have_count(0)
        expect(shown.locator(".nested .answer > pre")).to_have_text("[ 1 ]")


class TestStrangers:
    def test_content_is_never_html(self, page: "Page", show: Show) -> None:
        inner = [
            *(started(NASTY), STEP, delta(NASTY, "reasoning-delta"), delta(NASTY)),
            called("c/d", NASTY, text=NASTY),
            progress("c/d", NASTY, {"done": 1, "total": 2, "message": NASTY}),
            result("c/d", NASTY, NASTY, NASTY),
            delta(NASTY, "output-delta"),
            event("output-retry", message=NASTY),
            finished(NASTY, output={NASTY: NASTY}, reason=NASTY),
        ]
        log = [started("a"), called("c", NASTY), *within("c", *inner)]
        shown = show([*log, result("c", NASTY, NASTY, "error"), finished(output=NASTY)])
        nested = shown.locator(".nested")
        assert nested.locator("> summary .agent").text_content() == NASTY
        assert nested.locator("> .stream > .text").text_content() == NASTY
        assert page.locator("main").locator("img, script, a, b, i").count() == 0
        assert page.evaluate("window.hacked") is None

    def test_figures_tell_what_the_run_itself_used(self, page: "Page", show: Show) -> None:
        own = {"inputTokens": 4, "outputTokens": 2, "totalTokens": 6}
        show([started("a"), STEP, finished(ownUsage=own)])
        expect(page.locator(".figures")).to_contain_text("of its own4 in, 2 out")

    def test_what_a_newer_server_tells_within_is_left_out(self, show: Show) -> None:
        inner = within("c", started("lawyer"), event("news", text="x"), delta("I look."))
        shown = show([started("boss"), called("c", "ask"), *inner])
        assert shown.locator(".nested > .stream").text_content() == "I look."
