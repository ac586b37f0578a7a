"""The page of a run that waits for a person, or that goes on elsewhere: logs made by hand."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from page_events import (
    Event,
    answered,
    asked,
    called,
    delta,
    event,
    finished,
    result,
    started,
    step,
    within,
)
from page_kit import (
    MISSING,
    PATIENCE,
    RUN,
    HandLog,
    contrasts,
    open_browser,
    open_page,
    open_page_server,
)
from page_server import NASTY

pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"THE PAGE IS NOT TESTED: {MISSING}")

if MISSING is None:
    from playwright.sync_api import Locator, Page, expect

    expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_page_server(tmp_path_factory.mktemp("hand")) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Any) -> Iterator["Page"]:
    """A page whose console has nothing but what the browser says of answers that refuse."""
    with open_page(browser, **getattr(request, "param", {})) as (page, complaints):
        yield page
    assert [line for line in complaints.lines if "Failed to load resource" not in line] == []


@pytest.fixture
def log(page: "Page", url: str) -> HandLog:
    return HandLog(page, url)


_TOLD = re.compile(r"/(answers|messages)$")


class Told:
    """What the page tells the server of the run, which takes it unless the test says otherwise."""

    def __init__(self, page: "Page") -> None:
        self.bodies: list[Any] = []
        self.keys: list[str | None] = []
        self.refusals: list[tuple[int, str] | None] = []
        self._page = page
        page.route(_TOLD, self._take)

    def once(self) -> Any:
        """A block in which the page is answered."""
        return self._page.expect_response(_TOLD)

    def _take(self, route: Any) -> None:
        request = route.request
        assert request.url.rpartition("/")[0].endswith(f"/runs/{RUN}")
        self.bodies.append(json.loads(request.post_data))
        self.keys.append(request.headers.get("idempotency-key"))
        if not self.refusals:
            route.fulfill(json={"runId": RUN})
        elif (refusal := self.refusals.pop(0)) is None:
            route.abort()
        else:
            status, code = refusal
            error = {"code": code, "message": f"because <b>{code}</b>"}
            route.fulfill(status=status, json={"error": error})


@pytest.fixture
def told(page: "Page") -> Told:
    return Told(page)


REFUND = asked("c", "refund", "approval", amount=700)
QUESTION = asked("c", "ask_user", "input", question="Which <i>city</i>?", choices=["Oslo", "Bonn"])
CLIENT = asked("c", "read_clipboard", "input", kind="text")
BEGUN = (started("shop"), step(), delta("I ask."))


class TestCallsThatWait:
    @pytest.mark.parametrize(
        ("call", "button", "words", "said"),
        [
            (REFUND, "Approve", "", {"approve": True}),
            (REFUND, "Approve", "why not", {"approve": True}),
            (REFUND, "Deny", "", {"approve": False}),
            (REFUND, "Deny", " too <b>much</b>\n", {"approve": False, "reason": "too <b>much</b>"}),
            (QUESTION, "Bonn", "", {"output": "Bonn"}),
            (QUESTION, "Answer", "Rome, \nor so", {"output": "Rome, \nor so"}),
            (QUESTION, "No answer", "", {"approve": False}),
            (CLIENT, "Answer", '{"a": 1}', {"output": '{"a": 1}'}),
            (CLIENT, "No answer", "I can't", {"approve": False, "reason": "I can't"}),
        ],
    )
    def test_what_one_can_say(
        self, log: HandLog, told: Told, call: list[Event], button: str, words: str, said: Event
    ) -> None:
        card = log.show(*BEGUN, *call).locator(".tool")
        expect(card).to_have_attribute("data-status", "waiting")
        card.locator(".words").fill(words)
        with told.once():
            card.get_by_role("button", name=button, exact=True).click()
        # Taken by the server, and not yet in the log.
        expect(card.locator(".no")).to_be_disabled()
        shown = call[0]["tool"]["input"]
        assert told.bodies == [{"callId": "c", "arguments": shown, **said}]
        log.tell(answered("c", "x", True))
        expect(card.locator(".asked")).to_have_count(0)

    @pytest.mark.parametrize(
        ("call", "answer", "line", "outcome"),
        [
            (REFUND, {"approved": True, "by": "ann <b>"}, "approved by ann <b>", "running"),
            (REFUND, {"approved": True}, "approved", "running"),
            (
                REFUND,
                {"approved": False, "by": "ann", "reason": "too much"},
                "denied by ann: too much",
                "waits for approval",
            ),
            (QUESTION, {"approved": True, "by": "ben"}, "answered by ben", "waits for an answer"),
        ],
    )
    def test_who_answered(
        self, log: HandLog, call: list[Event], answer: Event, line: str, outcome: str
    ) -> None:
        """Whoever it was, and wherever: it is in the log."""
        card = log.show(*BEGUN, *call, answered("c", "refund", **answer)).locator(".tool")
        expect(card.locator(".answered")).to_have_text(line)
        expect(card.locator(".outcome")).to_have_text(outcome)
        expect(card.locator(".asked")).to_have_count(0)

    @pytest.mark.parametrize("reason", ["denied", "expired"])
    def test_a_call_that_was_not_made(self, log: HandLog, reason: str) -> None:
        said = (answered("c", "refund", False), result("c", "refund", "no", "error", reason=reason))
        card = log.show(*BEGUN, *REFUND, *said).locator(".tool")
        expect(card.locator("> summary .outcome")).to_have_text(reason)
        expect(card).to_have_attribute("data-status", "error")

    def test_somebody_else_was_first(self, log: HandLog, told: Told) -> None:
        told.refusals = [(409, "answer-refused")]
        card = log.show(*BEGUN, *REFUND).locator(".tool")
        approve = card.get_by_role("button", name="Approve")
        approve.focus()
        approve.press("Enter")
        problem = card.locator(".problem")
        expect(problem).to_have_text("This was not taken: because <b>answer-refused</b>")
        expect(approve).to_be_focused()
        log.tell(answered("c", "refund", False, by="ben"))
        expect(card.locator(".answered")).to_have_text("denied by ben")

    def test_a_lost_answer_is_given_again(self, log: HandLog, told: Told) -> None:
        told.refusals = [None]
        card = log.show(*BEGUN, *REFUND).locator(".tool")
        with told.once():  # the second time: the first has no answer
            card.get_by_role("button", name="Deny").click()
        log.tell(answered("c", "refund", False))
        expect(card.locator(".answered")).to_have_text("denied")
        assert len(told.bodies) == 2
        assert told.bodies[0] == told.bodies[1]

    @pytest.mark.parametrize(
        "end",
        [
            [result("c", "refund", "the run was stopped", "cancelled"), finished("cancelled")],
            [finished("timeout")],
            [event("error", error={"code": "log-lost", "message": "it is"})],
        ],
    )
    def test_nobody_is_asked_behind_the_end(self, log: HandLog, end: list[Event]) -> None:
        shown = log.show(*BEGUN, *REFUND)
        expect(shown.locator(".asked")).to_have_count(1)
        log.tell(*end)
        expect(shown.locator(".asked")).to_have_count(0)

    def test_siblings_run_meanwhile(self, log: HandLog) -> None:
        sibling = [called("d", "look", at=1), result("d", "look", "seen")]
        cards = log.show(*BEGUN, *REFUND, *sibling).locator("> .tool")
        expect(cards.nth(0).locator("> summary .outcome")).to_have_text("waits for approval")
        expect(cards.nth(1).locator("> summary .outcome")).to_have_text("ok")

    def test_what_a_newer_server_asks_for(self, log: HandLog) -> None:
        card = log.show(*BEGUN, *asked("c", "refund", "signature")).locator(".tool")
        expect(card.locator(".outcome")).to_have_text("waits: signature")
        expect(card.locator(".asked")).to_have_count(0)

    def test_by_keyboard(self, page: "Page", log: HandLog, told: Told) -> None:
        card = log.show(*BEGUN, *REFUND).locator(".tool")
        expect(page.locator("#announcer")).to_have_text("Tool refund waits for you: approval.")
        card.locator("> summary").focus()
        for part in ("words", "yes", "no"):
            page.keyboard.press("Tab")
            expect(card.locator(f".{part}")).to_be_focused()
            assert card.locator(f".{part}").evaluate("(it) => getComputedStyle(it).outlineStyle")
        with told.once():
            page.keyboard.press("Space")
        # What had the focus is gone: the call has it.
        expect(card.locator("> summary")).to_be_focused()
        log.tell(answered("c", "refund", False))
        expect(card.locator("> summary")).to_be_focused()
        assert told.bodies[0]["approve"] is False

    def test_a_reason_approves_nothing(self, page: "Page", log: HandLog, told: Told) -> None:
        """Enter in the box of the reason is a new line, and not a click on the first button."""
        words = log.show(*BEGUN, *REFUND).locator(".words")
        words.press("Enter")
        expect(words).to_have_value("\n")
        assert told.bodies == []

    def test_enter_answers_a_question(self, page: "Page", log: HandLog, told: Told) -> None:
        shown = log.show(*BEGUN, *QUESTION)
        expect(shown.locator(".question")).to_have_text("Which <i>city</i>?")
        words = shown.get_by_role("textbox", name="Answer")
        words.press("Enter")  # an empty answer is none
        expect(words).to_be_focused()
        words.press_sequentially("Rome")
        words.press("Shift+Enter")
        words.press_sequentially("Bonn")
        with told.once():
            words.press("Enter")
        expect(shown.locator(".no")).to_be_disabled()
        assert [body["output"] for body in told.bodies] == ["Rome\nBonn"]


class TestStatus:
    def test_sleeps_and_goes_on(self, page: "Page", log: HandLog) -> None:
        log.show(*BEGUN, *REFUND, event("waiting", calls=["c"]))
        status = page.locator(".viewer header .status")
        expect(status).to_have_text("waits for you")
        log.tell(answered("c", "refund", True), event("continued", reason="answered"))
        expect(status).to_have_text("running")
        expect(page.locator(".stream .step")).to_have_count(0)

    @pytest.mark.parametrize(
        ("reason", "line"),
        [
            ("worker-lost", "Its server was lost: the run goes on."),
            ("handed-over", "Its server was stopped: the run goes on."),
            ("<b>new</b>", "The run goes on: <b>new</b>"),
        ],
    )
    def test_goes_on_elsewhere(self, log: HandLog, reason: str, line: str) -> None:
        shown = log.show(*BEGUN, event("continued", reason=reason))
        expect(shown.locator(".step")).to_have_text(line)


DISCARD = event("step-discard", stepNumber=1, fromOffset=1, reason="worker-lost")
WRITING = event("tool-input-delta", tool={"id": "w", "name": "look"}, delta='{"a":')
SAID = (delta("Hm.", "reasoning-delta"), delta("Once"), delta('{"a":', "output-delta"), WRITING)
SWITCH = event("model-switch", stepNumber=2, to="b", error={"code": "x", "message": "y"})
TAKEN_BACK = "The answer broke off. What it said is taken back, and it is asked again."


def texts(shown: "Locator") -> list[str]:
    return shown.locator("> *").evaluate_all("(all) => all.map((each) => each.innerText.trim())")


class TestTakenBack:
    def test_all_that_the_step_said(self, log: HandLog) -> None:
        shown = log.show(started("a"), step(), *SAID)
        expect(shown.locator("> *")).to_have_count(4)
        log.tell(DISCARD)
        expect(shown.locator("> *")).to_have_count(1)
        log.tell(step(), delta("Twice"), finished())
        end = "The model said all that it had to say."
        assert texts(shown) == [TAKEN_BACK, "Twice", end]

    def test_nothing_of_an_earlier_step(self, log: HandLog) -> None:
        first = (step(), delta("One."), called("c", "look"), result("c", "look", "seen"))
        again = (step(2), {**SWITCH, "from": "a"}, *SAID)
        shown = log.show(started("a"), *first, *again, event("continued", reason="worker-lost"))
        log.tell(DISCARD, step(2), delta("Two."))
        expect(shown.locator("> .text")).to_have_count(2)
        before, card, *rest = texts(shown)
        assert before == "One."
        assert "seen" in card
        went_on = "Its server was lost: the run goes on."
        assert rest == [went_on, TAKEN_BACK, "step 2", "Two."]

    def test_again_and_again_in_one_go(self, log: HandLog) -> None:
        tries = [each for n in range(3) for each in (step(), delta(f"try {n}"), DISCARD)]
        shown = log.show(started("a"), *tries, step(), delta("last"))
        assert shown.locator("> .text").all_text_contents() == ["last"]

    def test_a_call_id_may_come_again(self, log: HandLog) -> None:
        again = (step(), called("w", "look", b=1), result("w", "look", "seen"))
        shown = log.show(started("a"), step(), WRITING, DISCARD, *again)
        expect(shown.locator("> .tool")).to_have_count(1)
        expect(shown.locator("> .tool > .output")).to_have_text("seen")

    def test_within_a_call_only_what_is_within(self, log: HandLog) -> None:
        inner = within("c", started("lawyer"), step(), *SAID, DISCARD, step(), delta("Law."))
        shown = log.show(*BEGUN, called("c", "ask"), *inner)
        assert shown.locator("> .text").all_text_contents() == ["I ask."]
        assert texts(shown.locator(".nested > .stream")) == [TAKEN_BACK, "Law."]

    def test_not_what_a_sub_agent_has_said_before(self, log: HandLog) -> None:
        """A later step of the run is taken back: what was called before it stays."""
        inner = within("c", started("lawyer"), step(), delta("Law."), finished())
        first = (*BEGUN, called("c", "ask"), *inner, result("c", "ask", "Law."))
        shown = log.show(*first, step(2), delta("So"), DISCARD)
        assert shown.locator(".text").all_text_contents() == ["I ask.", "Law."]


class TestTelling:
    def test_is_said_once(self, page: "Page", log: HandLog, told: Told) -> None:
        shown = log.show(*BEGUN)
        box = page.get_by_role("textbox", name="Tell the run something")
        box.press("Enter")  # nothing is said
        box.fill("In <b>Euro</b>")
        box.press("Enter")
        expect(box).to_have_value("")
        expect(box).to_be_focused()
        assert told.bodies == [{"content": "In <b>Euro</b>"}]
        assert re.fullmatch("[0-9a-f]{32}", told.keys[0] or "")
        log.tell(event("user-message", content="In <b>Euro</b>", by="ann <i>"))
        expect(shown.locator("> .told")).to_have_text("ann <i>In <b>Euro</b>")

    def test_what_is_lost_is_said_again_with_its_key(
        self, page: "Page", log: HandLog, told: Told
    ) -> None:
        told.refusals = [None, (503, "store-unavailable")]
        log.show(*BEGUN)
        box = page.get_by_role("textbox", name="Tell the run something")
        box.fill("wait")
        page.get_by_role("button", name="Tell", exact=True).click()
        notes = page.locator(".notes")
        expect(notes).to_have_text("The run was not told: because <b>store-unavailable</b>")
        expect(box).to_have_value("wait")
        box.press("Enter")
        expect(box).to_have_value("")
        assert len(told.keys) == 3
        assert len(set(told.keys)) == 1
        box.fill("wait")
        box.press("Enter")
        expect(box).to_have_value("")
        assert len(set(told.keys)) == 2

    def test_too_late(self, page: "Page", log: HandLog, told: Told) -> None:
        told.refusals = [(409, "run-over")]
        log.show(*BEGUN)
        box = page.get_by_role("textbox", name="Tell the run something")
        box.fill("wait")
        box.press("Enter")
        expect(page.locator(".notes")).to_contain_text("The run was not told: because")
        log.tell(finished())
        expect(box).to_be_hidden()

    def test_files_are_named(self, log: HandLog) -> None:
        parts = [
            {"type": "text", "text": "look: "},
            {"type": "file", "mediaType": "image/png", "url": "https://example.com/a.png"},
        ]
        shown = log.show(*BEGUN, event("user-message", content=parts))
        expect(shown.locator("> .told > .file")).to_have_text(
            "image/png · https://example.com/a.png"
        )
        expect(shown.locator("> .told img")).to_have_count(0)


EVERYTHING = (
    *(started("shop"), step(), delta("Let me see.")),
    *asked("d", "refund", "approval", amount=7),
    answered("d", "refund", False, by="ben", reason="too much"),
    result("d", "refund", "It was not allowed: too much", "error", reason="denied"),
    event("user-message", content="Then a voucher, please.", by="ann"),
    *(step(2), delta("A vou"), event("continued", reason="worker-lost")),
    *(DISCARD, step(2), delta("A voucher it is, if you allow it.")),
    *asked("c", "voucher", "approval", amount=700, currency="EUR"),
    *asked("q", "ask_user", "input", question="For which city?", choices=["Oslo", "Bonn"]),
    event("waiting", calls=["c", "q"]),
)


class TestLooks:
    @pytest.mark.parametrize(
        "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True
    )
    def test_contrast(self, page: "Page", log: HandLog) -> None:
        log.show(*EVERYTHING)
        selectors = (".question", ".yes", ".no", ".until", ".answered", ".told", ".told .by",
                     ".retry", ".viewer header .status", ".tool > summary .outcome", ".say button",
                     ".words")  # fmt: skip
        for selector, contrast in contrasts(page, *selectors):
            assert contrast >= 4.5, selector

    @pytest.mark.parametrize(
        "page", [{"viewport": {"width": 360, "height": 740}, "is_mobile": True}], indirect=True
    )
    def test_phone(self, page: "Page", log: HandLog) -> None:
        log.show(*EVERYTHING, *asked("e", "t" * 64, "approval", text="wide" * 200))
        assert not page.evaluate("document.documentElement.scrollWidth > 360")

    def test_content_is_never_html(self, page: "Page", log: HandLog) -> None:
        question = {"question": NASTY, "choices": [NASTY, {NASTY: 1}]}
        shown = log.show(
            *(started(NASTY), step(), event("user-message", content=NASTY, by=NASTY)),
            event("user-message", content=[{"type": "text", "text": NASTY}]),
            *asked("a", NASTY, "approval", text=NASTY),
            *asked("b", NASTY, "input", **question),
            *asked("c", NASTY, NASTY),
            *asked("d", NASTY, "approval"),
            answered("d", NASTY, False, by=NASTY, reason=NASTY),
            result("d", NASTY, NASTY, "error", reason=NASTY),
            event("continued", reason=NASTY),
        )
        assert shown.locator(".question").nth(1).text_content() == NASTY
        assert shown.locator(".answered").last.text_content() == f"denied by {NASTY}: {NASTY}"
        assert page.locator("main").locator("img, script, a, b, i").count() == 0
        assert page.evaluate("window.hacked") is None
