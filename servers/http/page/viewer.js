// One viewer of one run: a connection of its own, what it brought, and what one can do to the run.

import { ask, post, postAgain } from "./api.js";
import { clone } from "./elements.js";
import { Figures, seconds } from "./figures.js";
import { SayBox } from "./say.js";
import { Follower } from "./streams.js";
import { Transcript } from "./transcript.js";

const LOOK = 700; // ms between two looks at what a cut viewer misses

export const countOf = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

const STATUSES = new Map([
  ["active", "running"],
  ["waiting", "waits for you"],
  ["stop", "finished"],
]);

export const statusText = (status) => STATUSES.get(status) ?? status;

export class Viewer {
  #queue = [];
  #drawing = false;
  #looking;
  #missed; // while events are being caught up: {from, to, note}
  #follower;
  #figures;
  #transcript;
  #sayBox;
  #actions;
  #following = true; // the reader is at the end of the transcript, and stays there
  #closed = new AbortController();
  ended = false; // and drawn
  digest = [0, 1];
  status = "active";

  /**
   * actions: add(viewer), close(viewer), changed(viewer), announce(text), transport().
   */
  constructor(runId, { title, asked, ...actions }) {
    this.runId = runId;
    this.#actions = actions;
    this.element = clone("viewer-template");
    this.#figures = new Figures(asked);
    // The same answer again is none too many.
    const answer = (said) => postAgain(`runs/${runId}/answers`, said);
    this.#transcript = new Transcript(this.#part("stream"), answer);
    this.#sayBox = new SayBox(this.#part("say"), runId, (text) => this.note(text));
    this.#follower = new Follower(runId, {
      transport: actions.transport,
      onEvents: (events) => this.#take(events),
      onState: (state, detail) => this.#show(state, detail),
    });
    this.#part("cut").addEventListener("change", ({ target }) =>
      target.checked ? this.cut() : this.resume(),
    );
    for (const target of [this.#part("transcript"), document]) {
      target.addEventListener("scroll", () => this.#scrolled(), { signal: this.#closed.signal });
    }
    this.#part("stop").addEventListener("click", () => this.stop());
    this.#part("add").addEventListener("click", () => actions.add(this));
    this.#part("close").addEventListener("click", () => actions.close(this));
    this.setTitle(title);
    this.#showStatus();
    this.#follower.follow();
  }

  get events() {
    return this.#follower.offset;
  }

  setTitle(title) {
    this.#part("prompt").textContent = title ?? "";
    this.#part("prompt").hidden = !title;
  }

  setNumber(number, count) {
    const name = count > 1 ? `Viewer ${number}` : `Run ${this.runId.slice(0, 8)}`;
    this.element.querySelector("h2").textContent = name;
    this.element.setAttribute("aria-label", name);
    this.#part("close").hidden = count === 1;
  }

  /** Go away. */
  close() {
    clearTimeout(this.#looking);
    this.#closed.abort();
    this.#follower.cut();
    this.element.remove();
  }

  cut() {
    const at = this.#follower.offset;
    this.#follower.cut();
    this.note(`Cut behind event ${at}.`);
    this.#actions.announce("The connection is cut. The run goes on.");
    this.#look();
  }

  async resume() {
    clearTimeout(this.#looking);
    const from = this.#follower.offset;
    const view = await this.#view();
    const note = this.note("");
    this.#missed = { from, to: view?.tail ?? from, note };
    this.#follower.follow();
    this.#caughtUp();
  }

  /** Connect again, for instance over the other transport. */
  reconnect() {
    if (!["cut", "ended"].includes(this.#follower.state)) this.#follower.follow();
  }

  async stop() {
    const button = this.#part("stop");
    const since = performance.now();
    button.disabled = true;
    button.textContent = "Stopping";
    try {
      const { status, value } = await post(`runs/${this.runId}/cancel`, {});
      if (status === 200) this.#receipt(value, performance.now() - since);
      else this.note("The run was told to stop, and is not gone yet: a tool takes its time.");
    } catch (error) {
      this.note(`It could not be stopped: ${error.message}`);
      button.disabled = false;
    }
    button.textContent = "Stop";
  }

  #receipt({ outcome, lastOffset, abandoned }, took) {
    const left = abandoned.length
      ? `left behind: ${abandoned.map(nameOf).join(", ")}`
      : "every task, tool and socket of the run is gone";
    const parts = [statusText(outcome), `last event ${lastOffset}`, left, `after ${seconds(took)}`];
    const note = this.note(`Receipt: ${parts.join(" · ")}`);
    note.classList.add("receipt");
    this.#actions.announce(note.textContent);
  }

  note(text) {
    const note = document.createElement("p");
    note.textContent = text;
    this.#keepingDown(() => this.#part("notes").append(note));
    return note;
  }

  #part(name) {
    return this.element.querySelector(`.${name}`);
  }

  #take(events) {
    this.#queue.push(...events);
    for (const event of events) {
      // What is added for one wire is no part of the event.
      const { runId: _, ...rest } = event;
      this.digest = digest(this.digest, JSON.stringify(rest));
    }
    if (this.#drawing) return;
    this.#drawing = true;
    // A hidden page gets no animation frames.
    if (document.hidden) setTimeout(() => this.#draw(), 200);
    else requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#drawing = false;
    const events = this.#queue.splice(0);
    for (const event of events) this.#announce(event);
    for (const event of events) this.#figures.take(event);
    this.#keepingDown(() => {
      for (const event of merged(events)) this.#transcript.take(event);
      this.#drawFigures(); // which may take a line from the transcript
      this.#showStatus();
    });
    this.#caughtUp();
    if (this.#follower.ended && !this.ended) {
      this.ended = true;
      this.#showStatus();
      this.#actions.changed(this);
    }
  }

  #announce(event) {
    if (event.type === "tool-call") this.#actions.announce(`Tool ${event.tool.name} is called.`);
    if (event.type === "tool-request") {
      this.#actions.announce(`Tool ${event.tool.name} waits for you: ${event.kind}.`);
    }
    if (event.type === "waiting") this.status = "waiting";
    if (event.type === "continued") this.status = "active";
    if (event.type === "step-discard") this.#actions.announce("The answer begins anew.");
    if (event.type === "run-finish") this.status = event.run.finishReason;
    if (event.type === "error") this.status = "error";
    if (event.type === "run-finish") this.#actions.announce(`The run ended: ${this.status}.`);
    if (event.type === "error") this.#actions.announce(`The run failed: ${event.error.message}`);
  }

  /** What scrolls: on a phone that is the page as a whole. */
  get #scroller() {
    const own = this.#part("transcript");
    return getComputedStyle(own).overflowY === "visible" ? document.scrollingElement : own;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < 40;
  }

  /** Change what is in the transcript, and stay at its end if that is where the reader is. */
  #keepingDown(change) {
    change();
    if (this.#following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #drawFigures() {
    const list = this.#part("figures");
    const rows = this.#figures.rows();
    while (list.children.length > rows.length) list.lastChild.remove();
    rows.forEach(([name, value, note], index) => {
      let group = list.children[index];
      if (!group) {
        group = document.createElement("div");
        group.append(document.createElement("dt"), document.createElement("dd"));
        list.append(group);
      }
      group.title = note;
      group.firstChild.textContent = name;
      group.lastChild.textContent = value;
    });
  }

  #showStatus() {
    const status = this.#part("status");
    status.dataset.status = this.status;
    status.textContent = statusText(this.status);
    this.#part("stop").hidden = this.ended;
    this.#sayBox.show(!this.ended);
    this.element.querySelector(".switch").hidden = this.ended;
  }

  #show(state, detail) {
    const line = this.#part("link");
    line.dataset.state = state;
    const offset = this.#follower.offset;
    line.textContent = {
      connecting: offset ? `resuming behind event ${offset}` : "connecting",
      live: `live over ${this.#actions.transport().name}`,
      waiting: `connection lost behind event ${offset}; next attempt in ${seconds(detail)}`,
      cut: "cut — the run goes on",
      ended: "complete: this viewer has the whole log",
      refused: detail?.message,
    }[state];
  }

  /** How the run stands, and the offset of its last event, if the server can be asked. */
  async #view() {
    try {
      const { status, cursor } = await ask(`runs/${this.runId}`);
      return { status, tail: Number(cursor.slice(cursor.lastIndexOf(".") + 1)) };
    } catch {
      return undefined;
    }
  }

  /** While cut: count what is being missed. */
  async #look() {
    const view = await this.#view();
    if (this.#follower.state !== "cut" || !this.element.isConnected) return;
    if (view) {
      const missed = countOf(view.tail - this.#follower.offset, "event");
      this.#part("link").textContent =
        view.status === "active"
          ? `cut — the run goes on; ${missed} missed so far`
          : view.status === "waiting"
            ? `cut — the run waits for an answer; ${missed} missed so far`
            : `cut — the run has ended; ${missed} missed`;
    }
    this.#looking = setTimeout(() => this.#look(), LOOK);
  }

  #caughtUp() {
    if (!this.#missed) return;
    const { from, to, note } = this.#missed;
    const missed = countOf(to - from, "event");
    if (this.#follower.offset < to) {
      note.textContent = `Resumed behind event ${from}; ${missed} to catch up.`;
      return;
    }
    this.#missed = undefined;
    note.textContent = `Resumed behind event ${from}; ${missed} missed, all here now.`;
    this.#actions.announce(note.textContent);
  }
}

const nameOf = (tool) => (typeof tool === "string" ? tool : (tool.name ?? JSON.stringify(tool)));

/** Deltas of one kind in a row as one, which is one change of the page. */
function merged(events) {
  const result = [];
  for (const event of events) {
    const one = joined(result.at(-1), event);
    if (one) result[result.length - 1] = one;
    else result.push(event);
  }
  return result;
}

/** Two events as one, at whatever level they are; undefined if they stay two. */
function joined(last, event) {
  if (last?.type !== event.type) return undefined;
  if (event.type === "nested") {
    const inner = last.call === event.call ? joined(last.event, event.event) : undefined;
    return inner && { ...event, event: inner };
  }
  if (last.tool?.id !== event.tool?.id) return undefined;
  if (event.type === "tool-progress") return event;
  return event.delta ? { ...last, delta: last.delta + event.delta } : undefined;
}

/** A sum over all that was seen, to compare viewers (FNV-1a in two lanes). */
function digest([one, two], text) {
  for (let i = 0; i < text.length; i++) {
    one = Math.imul(one ^ text.charCodeAt(i), 0x01000193);
    two = Math.imul(two ^ text.charCodeAt(i), 0x5bd1e995);
  }
  return [one, two];
}
