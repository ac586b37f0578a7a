// What a run says, as elements. Whatever comes from a run becomes text nodes, never HTML.

import { seconds } from "./figures.js";

const PIECE = 4096; // characters of a text node, so that appending stays cheap

export const clone = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

const ENDS = new Map([
  ["stop", "The model said all that it had to say."],
  ["length", "The answer reached the model’s length limit."],
  ["max-steps", "The run reached its limit of steps."],
  ["cancelled", "The run was stopped."],
  ["timeout", "A deadline passed."],
  ["budget", "The run’s budget is spent."],
]);

export class Transcript {
  #stream;
  #block = null; // the element that text is being appended to
  #kind = "";
  #tools = new Map();

  constructor(stream) {
    this.#stream = stream;
  }

  take(event) {
    switch (event.type) {
      case "step-start":
        this.#end();
        if (event.stepNumber > 1) this.#line("step", `step ${event.stepNumber}`);
        break;
      case "text-delta":
        this.#append("text", event.delta);
        break;
      case "reasoning-delta":
        this.#append("reasoning", event.delta);
        break;
      case "tool-input-delta":
        append(this.#tool(event.tool).querySelector(".input"), event.delta);
        break;
      case "tool-call": {
        const card = this.#tool(event.tool);
        card.dataset.status = "running";
        card.dataset.since = event.at;
        card.querySelector(".outcome").textContent = "running";
        card.querySelector(".input").textContent = pretty(event.tool.input);
        break;
      }
      case "tool-result":
        this.#result(event);
        break;
      case "model-switch": {
        const { code, message } = event.error;
        this.#line("step", `${event.from} → ${event.to} (${code}: ${message})`);
        break;
      }
      case "run-finish": {
        const { finishReason, reason } = event.run;
        // A newer server may know more reasons.
        const known = ENDS.get(finishReason);
        const why = known ?? `The run finished: ${finishReason}.`;
        this.#line(known ? `end ${finishReason}` : "end", reason ? `${why} (${reason})` : why);
        break;
      }
      case "error":
        this.#line("end error", `${event.error.code}: ${event.error.message}`);
        break;
    }
  }

  #append(kind, text) {
    if (this.#kind !== kind) {
      this.#end();
      this.#kind = kind;
      const element = kind === "text" ? document.createElement("div") : clone("reasoning-template");
      this.#stream.append(element);
      if (kind === "text") element.className = "text";
      this.#block = kind === "text" ? element : element.querySelector(".text");
    }
    append(this.#block, text);
  }

  /** Close what is being written; reasoning folds away when the answer begins. */
  #end() {
    if (this.#kind === "reasoning") this.#block.parentElement.open = false;
    this.#kind = "";
    this.#block = null;
  }

  #line(className, text) {
    this.#end();
    const line = document.createElement("p");
    line.className = className;
    line.textContent = text;
    this.#stream.append(line);
  }

  #tool({ id, name }) {
    let card = this.#tools.get(id);
    // A provider may use an id again in a later step.
    if (!card || card.dataset.done) {
      this.#end();
      card = clone("tool-template");
      card.dataset.status = "writing";
      card.querySelector(".name").textContent = name;
      card.querySelector(".outcome").textContent = "the model writes";
      this.#tools.set(id, card);
      this.#stream.append(card);
    }
    return card;
  }

  #result({ tool, at }) {
    const card = this.#tool(tool);
    card.dataset.status = tool.status;
    card.dataset.done = "yes";
    card.querySelector(".outcome").textContent = tool.status;
    const since = Number(card.dataset.since);
    if (since) card.querySelector(".took").textContent = seconds(at - since);
    const output = card.querySelector(".output");
    output.textContent = pretty(tool.output);
    output.hidden = false;
  }
}

function append(element, text) {
  const last = element.lastChild;
  if (last?.nodeType === Node.TEXT_NODE && last.length < PIECE) last.appendData(text);
  else element.append(text);
}
