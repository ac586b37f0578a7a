// A call of a tool as a box: its arguments, who has to allow it, how far it is, what a sub-agent does
// in it, its result.

import { Asked, answered } from "./asked.js";
import { append, clone, pretty, short } from "./elements.js";
import { shown } from "./files.js";
import { seconds } from "./figures.js";

const DEEPEST = 6; // levels that are indented; a narrow column can't be read

const WAITS = new Map([
  ["approval", "waits for approval"],
  ["input", "waits for an answer"],
]);

export class Card {
  #parts = {};
  #name;
  #since;
  #kind; // what it waits or waited for
  #asked; // while somebody is asked
  #nested; // the box of the sub-agent
  #inside; // its transcript
  done = false;

  constructor(name) {
    this.#name = name;
    this.element = clone("tool-template");
    // Found now, while there are no boxes within that have parts of the same names.
    for (const part of ["name", "outcome", "took", "input", "answered", "progress", "output"]) {
      this.#parts[part] = this.element.querySelector(`.${part}`);
    }
    this.#parts.name.textContent = name;
    this.#show("writing", "the model writes");
  }

  written(delta) {
    append(this.#parts.input, delta);
  }

  called({ tool, wants, at }) {
    this.#since = at;
    if (wants) this.#show("waiting", WAITS.get(wants) ?? `waits: ${wants}`);
    else this.#show("running", "running");
    this.#parts.input.textContent = pretty(tool.input);
  }

  /** Somebody is asked; answer(said) is how one tells the server. */
  asks(event, answer) {
    this.#kind = event.kind;
    // What a newer server asks for can't be answered here.
    if (!WAITS.has(event.kind)) return;
    this.#asked = new Asked(event, answer, this.element.querySelector("summary"));
    this.#parts.input.after(this.#asked.element);
  }

  /** Somebody has answered. The time until then is theirs, and not the tool's. */
  answered(event) {
    this.asksNoMore();
    this.#since = event.at;
    this.#parts.answered.textContent = answered(event, this.#kind);
    this.#parts.answered.hidden = false;
    if (event.approved && this.#kind === "approval") this.#show("running", "running");
  }

  asksNoMore() {
    this.#asked?.close();
    this.#asked = undefined;
  }

  /** How far it is: a bar if the tool tells a share, and its words. */
  progress(data) {
    const { share, text } = progressOf(data);
    const bar = this.#parts.progress.querySelector("progress");
    this.#parts.progress.hidden = false;
    bar.hidden = share === undefined;
    if (share !== undefined) bar.value = share;
    bar.setAttribute("aria-label", `Progress of ${this.#name}`);
    this.#parts.progress.querySelector("span").textContent = text;
  }

  /** An event of the sub-agent; makeTranscript makes what shows it, in an element. */
  nested(event, depth, makeTranscript) {
    if (!this.#nested) {
      this.#nested = clone("nested-template");
      this.#nested.classList.toggle("deep", depth > DEEPEST);
      this.#parts.output.before(this.#nested);
      this.#inside = makeTranscript(this.#nested.querySelector(".stream"));
    }
    const outcome = this.#nested.querySelector(".outcome");
    if (event.type === "run-start") {
      this.#nested.querySelector(".agent").textContent = event.agent;
      outcome.textContent = "works";
    }
    if (event.type === "run-finish") {
      const { finishReason } = event.run;
      outcome.textContent = finishReason === "stop" ? "finished" : finishReason;
    }
    if (event.type === "error") outcome.textContent = "failed";
    this.#inside.take(event);
  }

  ended({ tool, reason, at }) {
    this.done = true;
    this.asksNoMore();
    this.#show(tool.status, reason ?? tool.status);
    if (this.#since) this.#parts.took.textContent = seconds(at - this.#since);
    this.#parts.output.textContent = pretty(tool.output);
    this.#parts.output.hidden = false;
    this.#parts.output.after(...(tool.files ?? []).map(shown));
    if (tool.status === "ok") this.#parts.progress.hidden = true;
    if (!this.#nested) return;
    // A sub-agent folds away with a good result, which says what came of it; else it is looked into.
    if (tool.status === "ok") this.#nested.open = false;
    const outcome = this.#nested.querySelector(".outcome");
    if (outcome.textContent === "works") outcome.textContent = "broken off";
  }

  #show(status, outcome) {
    this.element.dataset.status = status;
    this.#parts.outcome.textContent = outcome;
  }
}

const amount = (value) => (typeof value === "number" && value >= 0 ? value : undefined);

/** What a tool says of how far it is: so much of how much, or whatever it is. */
export function progressOf(data) {
  if (typeof data !== "object" || data === null) return { text: short(data) };
  const done = amount(data.done ?? data.progress);
  const of = data.total ?? data.of;
  const total = amount(of);
  const words = typeof data.message === "string" ? short(data.message) : "";
  if (done !== undefined && total) {
    return { share: Math.min(done / total, 1), text: `${done} of ${total} ${words}`.trimEnd() };
  }
  if (done <= 1 && of === undefined) {
    return { share: done, text: `${Math.round(100 * done)} % ${words}`.trimEnd() };
  }
  return { text: words || short(data) };
}
