"""The playground page, in a real Chromium in front of a real server process."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from page_kit import (
    MISSING,
    PATIENCE,
    Complaints,
    PageServer,
    contrasts,
    luminance,
    open_browser,
    open_page,
    open_page_server,
)
from page_server import NASTY, TOKEN, WORDS

pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"THE PAGE IS NOT TESTED: {MISSING}")

if MISSING is None:
    from playwright.sync_api import Error, Locator, Page, expect

    expect.set_options(timeout=PATIENCE)

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
TRANSPORTS = pytest.mark.parametrize("transport", ["SSE", "WebSocket"])
ALL = "".join(WORDS)
COUNT_EVENTS = 2 + 40 + 3
"""run-start, step-start, the words, model-finish, step-finish, run-finish."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    with open_page_server(tmp_path_factory.mktemp("hand"), "websocket") as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


Opener = Callable[..., "Page"]


@pytest.fixture
def unchecked(browser: Any) -> Iterator[tuple["Page", Complaints]]:
    with open_page(browser) as opened:
        yield opened


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Any, server: PageServer) -> Iterator["Page"]:
    """The page, opened; nothing may be in its console, and its policy may refuse nothing."""
    with open_page(browser, **getattr(request, "param", {})) as (page, complaints):
        page.goto(server.url)
        expect(page.locator("#agent option")).not_to_have_count(0)
        yield page
    assert complaints.lines == []


def send(page: "Page", prompt: str) -> None:
    page.fill("#prompt", prompt)
    page.press("#prompt", "Enter")
    # A new run is there when its prompt is.
    expect(page.locator(".viewer .prompt")).to_have_text(prompt.strip())


def viewer(page: "Page", number: int = 0) -> "Locator":
    return page.locator(".viewer").nth(number)


def expect_status(page: "Page", status: str, number: int = 0) -> None:
    expect(viewer(page, number).locator("header .status")).to_have_text(status)


def streaming(body: bytes) -> Callable[[Any], None]:
    return lambda route: route.fulfill(body=body, content_type="text/event-stream")


def text_of(page: "Page", number: int = 0) -> str:
    return "".join(viewer(page, number).locator(".stream > .text").all_text_contents())


def choose(page: "Page", transport: str) -> None:
    page.locator("#transport").get_by_text(transport, exact=True).click()


class TestRun:
    def test_text_streams(self, page: "Page", server: PageServer) -> None:
        send(page, "count streams")
        expect(viewer(page).locator(".text")).to_have_text("".join(WORDS[:10]).strip())
        expect_status(page, "running")
        expect(viewer(page).locator(".link")).to_have_text("live over SSE")
        expect(page.locator("#run-list li").first.locator(".status")).to_have_text("running")
        expect(page.locator("#run-list li").first.locator(".watchers")).to_have_text("1 viewer")
        server.allow("streams-10")
        expect(viewer(page).locator(".text")).to_have_text("".join(WORDS[:30]).strip())
        server.allow("streams-30")
        expect_status(page, "finished")
        assert text_of(page) == ALL
        expect(page.locator("#run-list li").first.locator(".status")).to_have_text("finished")
        expect(page.locator("#announcer")).to_have_text("The run ended: stop.")
        expect(viewer(page).locator(".link")).to_contain_text("complete")

    @TRANSPORTS
    @pytest.mark.parametrize(("button", "word"), [("Approve", "approved"), ("Deny", "denied")])
    def test_a_person_is_asked(self, page: "Page", transport: str, button: str, word: str) -> None:
        choose(page, transport)
        send(page, "refund 7")
        expect_status(page, "waits for you")
        expect(page.locator("#run-list li").first.locator(".status")).to_have_text("waits for you")
        page.get_by_role("button", name="Add viewer").click()
        second = viewer(page, 1)
        box = second.get_by_role("textbox", name="Tell the run something")
        box.fill("say Thanks.")
        box.press("Enter")
        expect(viewer(page).locator(".told")).to_have_text("say Thanks.")
        second.get_by_role("button", name=button).click()
        for number in range(2):
            expect_status(page, "finished", number)
            expect(viewer(page, number).locator(".answered")).to_have_text(word)
            expect(viewer(page, number).locator(".asked")).to_have_count(0)
            assert text_of(page, number) == "Thanks."
        expect(second.locator(".notes")).to_contain_text("Both viewers saw the same")

    def test_figures(self, page: "Page", server: PageServer) -> None:
        server.allow("figures-10")
        server.allow("figures-30")
        send(page, "count figures")
        expect_status(page, "finished")
        names = viewer(page).locator(".figures dt").all_text_contents()
        texts = viewer(page).locator(".figures dd").all_text_contents()
        values = dict(zip(names, texts, strict=True))
        assert list(values) == [
            "first token",
            "seen after",
            "tokens/s",
            "tokens",
            "events",
            "time",
        ]
        for name in ("first token", "seen after", "time"):
            assert re.fullmatch(r"(< )?[0-9.]+ m?s", values[name])
        assert float(values["tokens/s"]) > 0
        assert values["tokens"] == "7 in, 40 out"
        assert values["events"] == str(COUNT_EVENTS)

    def test_another_model(self, page: "Page", server: PageServer) -> None:
        send(page, "switch")
        expect_status(page, "finished")
        line = viewer(page).locator(".step")
        expect(line).to_have_text("one <i> → another (connect: no <b>connection</b>)")
        expect(viewer(page).locator(".figures")).to_contain_text(
            "10 in (8 cached), 2 out (1 reasoning)"
        )

    def test_tool_call_grows(self, page: "Page", server: PageServer) -> None:
        send(page, "tool Oslo")
        tool = viewer(page).locator(".tool")
        expect(tool.locator(".name")).to_have_text("get_weather")
        expect(tool.locator(".input")).to_have_text('{"city":')
        expect(tool.locator(".outcome")).to_have_text("the model writes")
        server.allow("Oslo-arguments")
        expect(tool.locator(".outcome")).to_have_text("running")
        expect(tool.locator(".input")).to_have_text('{ "city": "Oslo" }')
        expect(tool.locator(".output")).to_be_hidden()
        server.allow("Oslo-result")
        expect(tool.locator(".outcome")).to_have_text("ok")
        expect(tool.locator(".output")).to_contain_text('"sky": "snow"')
        expect(tool.locator(".took")).to_have_text(re.compile(r"^(< )?[0-9.]+ m?s$"))
        expect_status(page, "finished")
        expect(tool).to_have_count(1)
        assert viewer(page).locator(".stream > .text").all_text_contents() == [
            "Let me look.",
            "It is cold in Oslo.",
        ]
        expect(viewer(page).locator(".step")).to_have_text("step 2")

    def test_reasoning_folds(self, page: "Page", server: PageServer) -> None:
        server.allow("Rome-arguments")
        server.allow("Rome-result")
        send(page, "tool Rome")
        expect_status(page, "finished")
        reasoning = viewer(page).locator(".reasoning")
        expect(reasoning.locator(".text")).to_be_hidden()
        reasoning.locator("summary").click()
        expect(reasoning.locator(".text")).to_have_text("The weather is asked for. A tool has it.")
        expect(reasoning.locator(".text")).to_be_visible()

    def test_failure(self, page: "Page") -> None:
        send(page, "fail x")
        expect_status(page, "error")
        expect(viewer(page).locator(".end.error")).to_contain_text("no such <i>model</i>")

    def test_agents(self, page: "Page") -> None:
        expect(page.locator("#tools")).to_have_text("tools: get_weather, echo_html, refund")
        page.select_option("#agent", "<b>second</b>")
        expect(page.locator("#tools")).to_have_text("")
        send(page, "say hello")
        expect_status(page, "finished")
        assert text_of(page) == "hello"
        expect(page.locator("#run-list li").first.locator(".agent")).to_have_text("<b>second</b>")

    def test_long_text_is_followed_unless_the_reader_went_up(
        self, page: "Page", server: PageServer
    ) -> None:
        name = "up" + "\n" * 100
        send(page, f"count {name}up")
        transcript = viewer(page).locator(".transcript")
        expect(transcript.locator(".text")).to_contain_text("word10")
        assert transcript.evaluate(_ABOVE_END) < 1
        server.allow(f"{name}up-10")
        expect(transcript.locator(".text")).to_contain_text("word30")
        assert transcript.evaluate(_ABOVE_END) < 1
        transcript.evaluate(
            "(box) => new Promise((done) => { box.onscroll = done; box.scrollTop = 0; })"
        )
        server.allow(f"{name}up-30")
        expect_status(page, "finished")
        assert transcript.evaluate("(box) => box.scrollTop") == 0


class TestCut:
    @TRANSPORTS
    def test_cut_and_resume_lose_nothing(
        self, page: "Page", server: PageServer, transport: str
    ) -> None:
        asked: list[str | None] = []

        def note(request: Any) -> None:
            if request.url.endswith("/events"):
                asked.append(request.headers.get("last-event-id"))

        page.on("request", note)
        choose(page, transport)
        name = f"cut-{transport}"
        send(page, f"count {name}")
        expect(viewer(page).locator(".link")).to_have_text(f"live over {transport}")
        expect(viewer(page).locator(".text")).to_contain_text("word10")
        switch = page.get_by_role("switch", name="Cut the connection")
        switch.check()
        expect(viewer(page).locator(".notes")).to_have_text("Cut behind event 12.")
        server.allow(f"{name}-10")
        expect(viewer(page).locator(".link")).to_have_text(
            "cut — the run goes on; 20 events missed so far"
        )
        assert text_of(page) == "".join(WORDS[:10])
        switch.uncheck()
        expect(viewer(page).locator(".notes p").nth(1)).to_have_text(
            "Resumed behind event 12; 20 events missed, all here now."
        )
        assert text_of(page) == "".join(WORDS[:30])
        server.allow(f"{name}-30")
        expect_status(page, "finished")
        assert text_of(page) == ALL
        expect(viewer(page).locator(".figures")).to_contain_text(f"events{COUNT_EVENTS}")
        if transport == "SSE":
            first, second = asked
            assert first is None
            assert str(second).endswith(".12")
        else:
            assert asked == []

    def test_run_that_ended_meanwhile(self, page: "Page", server: PageServer) -> None:
        send(page, "count away")
        expect(viewer(page).locator(".text")).to_contain_text("word10")
        page.get_by_role("switch").check()
        server.allow("away-10")
        server.allow("away-30")
        expect(page.locator("#run-list li").first.locator(".status")).to_have_text("finished")
        expect_status(page, "running")  # as far as this viewer knows
        expect(viewer(page).locator(".link")).to_have_text(
            "cut — the run has ended; 33 events missed"
        )
        page.get_by_role("switch").uncheck()
        expect_status(page, "finished")
        assert text_of(page) == ALL

    def test_broken_stream_is_resumed_by_itself(
        self, unchecked: tuple["Page", Complaints], server: PageServer
    ) -> None:
        page, complaints = unchecked
        page.goto(server.url)
        server.allow("broken-10")
        server.allow("broken-30")
        send(page, "count broken")
        expect_status(page, "finished")
        run_id = page.url.partition("#run=")[2]
        events = page.request.get(f"{server.url}/runs/{run_id}/events").body()
        cut = events.index(b"word17") + 3
        cursors: list[str | None] = []

        def answer(route: Any) -> None:
            cursors.append(route.request.headers.get("last-event-id"))
            if len(cursors) == 1:
                route.abort()
            elif len(cursors) == 2:
                route.fulfill(body=events[:cut], content_type="text/event-stream")
            elif len(cursors) == 3:
                route.fulfill(status=503, headers={"retry-after": "1"}, body="{}")
            else:
                route.continue_()

        page.route("**/events", answer)
        page.reload()
        expect(viewer(page).locator(".link")).to_contain_text("connection lost behind event 18")
        expect_status(page, "finished")
        assert text_of(page) == ALL
        assert all("Failed to load resource" in line for line in complaints.lines)
        assert [cursor and cursor.rpartition(".")[2] for cursor in cursors] == [
            None,
            None,
            "18",
            "18",
        ]

    def test_stream_with_a_gap_is_refused(self, page: "Page", server: PageServer) -> None:
        send(page, "say gap")
        expect_status(page, "finished")
        run_id = page.url.partition("#run=")[2]
        frames = page.request.get(f"{server.url}/runs/{run_id}/events").body().split(b"\n\n")
        del frames[2]
        body = b"\n\n".join(frames)
        page.route("**/events", streaming(body))
        page.reload()
        expect(viewer(page).locator(".link")).to_have_text("event 3 came after event 1")

    def test_an_end_that_the_page_does_not_know(self, page: "Page", server: PageServer) -> None:
        """It is text: no class, no markup, and no property of an object either."""
        send(page, "say new end")
        expect_status(page, "finished")
        run_id = page.url.partition("#run=")[2]
        body = page.request.get(f"{server.url}/runs/{run_id}/events").body()
        for reason in ("constructor", "<b>paused</b> text"):
            said = body.replace(b'"finishReason":"stop"', f'"finishReason":"{reason}"'.encode())
            page.route("**/events", streaming(said))
            page.reload()
            expect_status(page, reason)
            end = viewer(page).locator(".end")
            expect(end).to_have_text(f"The run finished: {reason}.")
            assert end.get_attribute("class") == "end"

    def test_an_event_of_another_run_is_refused(self, page: "Page", server: PageServer) -> None:
        send(page, "say other")
        expect_status(page, "finished")
        run_id = page.url.partition("#run=")[2]
        body = page.request.get(f"{server.url}/runs/{run_id}/events").body()
        other = body.replace(f"id: {run_id}".encode(), b"id: " + b"0" * 32)
        page.route("**/events", streaming(other))
        page.reload()
        expect(viewer(page).locator(".link")).to_contain_text(f"event {'0' * 32}")
        expect(viewer(page).locator(".link")).to_have_attribute("data-state", "refused")

    def test_a_websocket_that_went_silent(self, page: "Page", server: PageServer) -> None:
        page.clock.install()
        choose(page, "WebSocket")
        requests: list[str] = []

        def swallow(socket: Any) -> None:
            server_side = socket.connect_to_server()

            def pass_on(message: str) -> None:
                requests.append(message)
                if len(requests) < 3:
                    server_side.send(message)

            socket.on_message(pass_on)

        page.route_web_socket(re.compile("^ws:"), swallow)
        send(page, "count silent")
        link, cut = viewer(page).locator(".link"), re.compile("behind event 12")
        expect(link).to_have_text("live over WebSocket")
        # The page's clock runs ahead of the server's answer, the further the busier the machine.
        for _ in range(60):
            page.clock.run_for(15_000)
            if cut.search(link.inner_text()):
                break
        expect(link).to_have_text(cut)
        assert '"unsubscribe"' in requests[1]

    def test_unknown_run(self, unchecked: tuple["Page", Complaints], server: PageServer) -> None:
        page, _ = unchecked
        page.goto(f"{server.url}/#run=nope")
        expect(viewer(page).locator(".link")).to_have_attribute("data-state", "refused")


class TestStop:
    @TRANSPORTS
    def test_receipt(self, page: "Page", transport: str) -> None:
        choose(page, transport)
        send(page, f"count stop-{transport}")
        expect(viewer(page).locator(".text")).to_contain_text("word10")
        viewer(page).get_by_role("button", name="Stop").click()
        expect(viewer(page).locator(".receipt")).to_have_text(
            re.compile(
                r"^Receipt: cancelled · last event 13 ·"
                r" every task, tool and socket of the run is gone · after (< )?[0-9.]+ m?s$"
            )
        )
        expect_status(page, "cancelled")
        expect(viewer(page).get_by_role("button", name="Stop")).to_be_hidden()
        assert text_of(page) == "".join(WORDS[:10])

    def test_stop_while_cut(self, page: "Page") -> None:
        send(page, "count stop-cut")
        expect(viewer(page).locator(".text")).to_contain_text("word10")
        page.get_by_role("switch").check()
        viewer(page).get_by_role("button", name="Stop").click()
        expect(viewer(page).locator(".receipt")).to_contain_text("cancelled")
        page.get_by_role("switch").uncheck()
        expect_status(page, "cancelled")


class TestViewers:
    def test_two_see_the_same(self, page: "Page", server: PageServer) -> None:
        send(page, "count viewers")
        expect(viewer(page).locator(".text")).to_contain_text("word10")
        page.get_by_role("button", name="Add viewer").click()
        expect(viewer(page, 1).locator(".text")).to_contain_text("word10")
        expect(page.locator("#run-list li").first.locator(".watchers")).to_have_text("2 viewers")
        # One of them is cut, and both change the transport on the way.
        viewer(page).get_by_role("switch").check()
        choose(page, "WebSocket")
        expect(viewer(page, 1).locator(".link")).to_have_text("live over WebSocket")
        server.allow("viewers-10")
        expect(viewer(page, 1).locator(".text")).to_contain_text("word30")
        viewer(page).get_by_role("switch").uncheck()
        choose(page, "SSE")
        server.allow("viewers-30")
        for number in (0, 1):
            expect_status(page, "finished", number)
            assert text_of(page, number) == ALL
        expect(viewer(page, 1).locator(".notes")).to_have_text(
            f"Both viewers saw the same {COUNT_EVENTS} events."
        )

    def test_close(self, page: "Page", server: PageServer) -> None:
        send(page, "count close")
        page.get_by_role("button", name="Add viewer").click()
        viewer(page).get_by_role("button", name="Close this viewer").click()
        expect(page.locator(".viewer")).to_have_count(1)
        expect(page.locator("#run-list li").first.locator(".watchers")).to_have_text("1 viewer")
        expect(viewer(page).get_by_role("button", name="Close this viewer")).to_be_hidden()
        viewer(page).get_by_role("button", name="Stop").click()
        expect_status(page, "cancelled")

    def test_another_run_and_back(self, page: "Page") -> None:
        send(page, "say one")
        send(page, "say two")
        expect_status(page, "finished")
        page.locator("#run-list a").nth(1).click()
        expect(viewer(page).locator(".prompt")).to_have_text("say one")
        expect_status(page, "finished")
        assert text_of(page) == "one"
        expect(page.locator("#run-list a").nth(1)).to_have_attribute("aria-current", "page")
        page.go_back()
        expect(viewer(page).locator(".prompt")).to_have_text("say two")
        page.reload()
        expect(viewer(page).locator(".prompt")).to_have_text("say two")
        expect_status(page, "finished")
        assert text_of(page) == "two"


class TestStrangers:
    def test_content_is_never_html(self, page: "Page") -> None:
        send(page, "nasty " + NASTY)
        expect_status(page, "finished")
        stream = viewer(page).locator(".stream")
        assert stream.locator(".reasoning .text").text_content() == NASTY
        assert stream.locator("> .text").first.text_content() == NASTY
        assert stream.locator(".tool .output").text_content() == NASTY + "<b onclick=alert(1)>x</b>"
        expect(page.locator("#run-list .title").first).to_contain_text("<img src=x")
        send(page, "fail x")
        expect_status(page, "error")
        assert page.locator("main").locator("img, script, a, b, i").count() == 0
        assert page.locator("nav").locator("img, script, b, i").count() == 0
        assert page.evaluate("window.hacked") is None

    def test_policy_is_in_force(
        self, unchecked: tuple["Page", Complaints], server: PageServer
    ) -> None:
        page, _ = unchecked
        page.goto(server.url)
        with pytest.raises(Error, match="TrustedHTML"):
            page.evaluate("document.body.innerHTML = '<b>x</b>'")
        with pytest.raises(Error, match="Failed to fetch"):
            page.evaluate("fetch('http://127.0.0.1:9/')")
        violations = page.evaluate("window.violations")
        assert [line.partition(":")[0] for line in violations] == [
            "require-trusted-types-for",
            "connect-src",
        ]

    def test_token(self, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("protected")
        with (
            open_page_server(folder, "protected", "websocket") as server,
            open_page(browser) as (page, _),
        ):
            page.goto(server.url)
            expect(page.locator("#banner")).to_have_text("This server wants an access token.")
            expect(page.locator("#token")).to_be_focused()
            page.keyboard.type("not this one")
            page.keyboard.press("Enter")
            expect(page.locator("#banner")).to_be_visible()
            page.locator("#token").fill(TOKEN)
            page.keyboard.press("Enter")
            expect(page.locator("#agent option")).to_have_count(2)
            expect(page.locator("#banner")).to_be_hidden()
            # A browser can't send the token over WebSocket.
            expect(page.locator("#transport")).to_have_attribute("disabled", "")
            send(page, "say protected")
            expect_status(page, "finished")
            assert page.evaluate("Object.keys(localStorage).length") == 0
            assert page.context.cookies() == []
            assert TOKEN not in page.url

    def test_websocket_wants_the_token_too(
        self, browser: Any, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("protected")
        with (
            open_page_server(folder, "protected", "websocket") as server,
            open_page(browser) as (page, _),
        ):
            page.goto(server.url)
            opened = """async () => {
              const { websocketPort } = await (await fetch("page/settings.json")).json();
              const socket = new WebSocket(`ws://127.0.0.1:${websocketPort}/`);
              return new Promise((resolve) => {
                socket.onopen = () => resolve(true);
                socket.onerror = () => resolve(false);
              });
            }"""
            assert page.evaluate(opened) is False


class TestPeople:
    def test_keyboard_only(self, page: "Page", server: PageServer) -> None:
        expect(page.locator("#prompt")).to_be_focused()
        page.keyboard.type("count keys")
        page.keyboard.press("Shift+Enter")
        expect(page.locator("#prompt")).to_have_value("count keys\n")
        page.keyboard.press("Backspace")
        page.keyboard.press("Enter")
        expect(viewer(page).locator(".text")).to_contain_text("word10")
        expect(page.locator("#prompt")).to_have_value("")
        expect(page.locator("#run-list a").first).to_be_visible()
        order = []
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        page.locator(".skip").focus()
        for _ in range(60):
            focused = page.evaluate(_FOCUSED)
            order.append(focused["what"])
            assert focused["visible"], focused
            assert focused["name"], focused
            if focused["what"] == "send":
                break
            page.keyboard.press("Tab")
        wanted = ["skip", "transport", "access", "run", "add", "cut", "stop", "transcript"]
        assert [what for what in dict.fromkeys(order) if what in wanted] == wanted
        assert order[-3:] == ["prompt", "agent", "send"]
        page.get_by_role("switch").focus()
        page.keyboard.press("Space")
        expect(viewer(page).locator(".link")).to_contain_text("cut")
        page.keyboard.press("Space")
        expect(viewer(page).locator(".link")).to_have_text("live over SSE")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect_status(page, "cancelled")

    def test_enter_of_an_input_method_does_not_send(self, page: "Page") -> None:
        page.fill("#prompt", "say x")
        page.evaluate(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
            " {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
        )
        expect(page.locator("#prompt")).to_have_value("say x")
        expect(page.locator(".viewer")).to_have_count(0)

    @pytest.mark.parametrize("page", [PHONE], indirect=True)
    def test_phone(self, page: "Page", server: PageServer) -> None:
        wide = "document.documentElement.scrollWidth > 360"
        assert not page.evaluate(wide)
        send(page, "nasty " + "wide" * 200)
        page.get_by_role("button", name="Add viewer").click()
        expect_status(page, "finished", 1)
        assert not page.evaluate(wide)
        outside = """[...document.querySelectorAll("body *")].filter((element) => {
          if (!element.checkVisibility() || element.closest(".hidden-text, .skip")) return false;
          const { left, right, width } = element.getBoundingClientRect();
          return width > 1 && (left < 0 || right > 360.5);
        }).map((element) => element.outerHTML.slice(0, 80))"""
        assert page.evaluate(outside) == []
        expect(page.locator("#runs")).to_be_hidden()
        page.get_by_role("button", name="Runs").click()
        expect(page.locator("#run-list a").first).to_be_visible()
        assert not page.evaluate(wide)
        page.locator("#access summary").click()
        expect(page.locator("#token")).to_be_visible()
        assert not page.evaluate(wide)

    @pytest.mark.parametrize(
        "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True
    )
    def test_contrast(self, page: "Page", request: pytest.FixtureRequest) -> None:
        scheme = request.node.callspec.params["page"]["color_scheme"]
        send(page, "nasty x")
        expect_status(page, "finished")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (luminance(background) < 0.1) == (scheme == "dark")
        selectors = (
            "#runs h2",
            "#run-list .about",
            ".viewer .link",
            ".viewer .status",
            ".viewer .prompt",
            ".stream > .text",
            ".tool .input",
            ".tool .output",
            ".end",
            ".figures dt",
            "#tools",
            "#send",
        )
        for selector, contrast in contrasts(page, *selectors):
            assert contrast >= 4.5, selector


class TestDecoder:
    def test_every_split(self, page: "Page") -> None:
        """The SSE decoder gives the same however its input is cut."""
        stream = (
            ": comment\r\nretry: 5\nid: a\ndata: one\ndata:two\r\rdata: three \n\n"
            "event: x\r\ndata\r\n\r\nid: b\0\nid\n\ndata:  é\n\nid: c\ndata: unfinished\n"
        )
        decode = """async ([text, size]) => {
          const { SSEDecoder } = await import("/page/streams.js");
          const decoder = new SSEDecoder();
          const events = [];
          for (let at = 0; at < text.length; at += size) {
            events.push(...decoder.feed(text.slice(at, at + size)));
          }
          return events;
        }"""
        expected = [
            {"id": "a", "data": "one\ntwo"},
            {"id": "a", "data": "three "},
            {"id": "a", "data": ""},
            {"id": "", "data": " é"},
        ]
        for size in range(1, len(stream) + 1):
            assert page.evaluate(decode, [stream, size]) == expected, size


_ABOVE_END = "(box) => box.scrollHeight - box.clientHeight - box.scrollTop"

_FOCUSED = """() => {
  const element = document.activeElement;
  const label = element.labels?.[0]?.textContent.trim();
  const shown = element.matches("input[type=radio], [role=switch]")
    ? element.nextElementSibling
    : element.id === "prompt" ? element.form : element;
  const style = getComputedStyle(shown);
  const inside = (selector) => element.closest(selector) !== null;
  return {
    what: inside("#transport") ? "transport" : inside("#access") ? "access"
      : inside("#run-list") ? "run" : element.id || element.classList[0] || element.tagName,
    name: element.getAttribute("aria-label") || label || element.textContent.trim(),
    visible: style.outlineStyle !== "none" || style.borderColor !== "rgb(226, 223, 216)",
  };
}"""
