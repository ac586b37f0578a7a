// What an agent says and does, as elements: the run's own, or that of a sub-agent within a call.

import { Card } from "./card.js";
import { append, clone } from "./elements.js";

const ENDS = new Map([
  ["stop", "The model said all that it had to say."],
  ["length", "The answer reached the model’s length limit."],
  ["max-steps", "The run reached its limit of steps."],
  ["cancelled", "The run was stopped."],
  ["timeout", "A deadline passed."],
  ["budget", "The run’s budget is spent."],
]);

const BLOCKS = new Map([
  ["text", "text-template"],
  ["reasoning", "reasoning-template"],
  ["output", "answer-template"],
]);

export class Transcript {
  #stream;
  #depth;
  #block = null; // the element that is being written
  #kind = "";
  #said = []; // this step's blocks of text
  #answer = null; // this step's output
  #cards = new Map();

  /** depth: 0 for the run's own agent, 1 for a sub-agent, and so on. */
  constructor(stream, depth = 0) {
    this.#stream = stream;
    this.#depth = depth;
  }

  take(event) {
    switch (event.type) {
      case "step-start":
        this.#end();
        this.#refuse(this.#answer ? [this.#answer] : []);
        if (event.stepNumber > 1) this.#line("step", `step ${event.stepNumber}`);
        break;
      case "text-delta":
        this.#append("text", event.delta);
        break;
      case "reasoning-delta":
        this.#append("reasoning", event.delta);
        break;
      case "output-delta":
        this.#append("output", event.delta);
        break;
      case "output-retry":
        this.#refuse(this.#answer ? [this.#answer] : this.#said);
        this.#line("retry", `Not yet what was asked for, and asked again: ${event.message}`);
        break;
      case "tool-input-delta":
        this.#card(event.tool).written(event.delta);
        break;
      case "tool-call":
        this.#card(event.tool).called(event);
        break;
      case "tool-progress":
        this.#card(event.tool).progress(event.data);
        break;
      case "nested": {
        const depth = this.#depth + 1;
        const card = this.#card({ id: event.call, name: event.call });
        card.nested(event.event, depth, (stream) => new Transcript(stream, depth));
        break;
      }
      case "tool-result":
        this.#card(event.tool).ended(event);
        break;
      case "model-switch": {
        const { code, message } = event.error;
        this.#line("step", `${event.from} → ${event.to} (${code}: ${message})`);
        break;
      }
      case "run-finish":
        this.#finish(event.run);
        break;
      case "error":
        this.#line("end error", `${event.error.code}: ${event.error.message}`);
        break;
    }
  }

  #finish({ finishReason, reason, output }) {
    if (output !== undefined) {
      // A model may have said its answer as text, which stands here in full.
      if (!this.#answer && isJSON(this.#said)) for (const block of this.#said) block.remove();
      this.#answer ??= this.#begin("output");
      this.#answer.querySelector("pre").textContent = JSON.stringify(output, null, 2);
    }
    // Of a sub-agent that is through, its box says so.
    if (this.#depth && finishReason === "stop") return this.#end();
    // A newer server may know more reasons.
    const known = ENDS.get(finishReason);
    const why = known ?? `The run finished: ${finishReason}.`;
    this.#line(known ? `end ${finishReason}` : "end", reason ? `${why} (${reason})` : why);
  }

  #append(kind, text) {
    if (this.#kind !== kind) {
      this.#end();
      const element = kind === "output" && this.#answer ? this.#answer : this.#begin(kind);
      this.#kind = kind;
      this.#block = kind === "text" ? element : element.querySelector(".text, pre");
      if (kind === "text") this.#said.push(element);
      if (kind === "output") this.#answer = element;
    }
    append(this.#block, text);
  }

  #begin(kind) {
    const element = clone(BLOCKS.get(kind));
    this.#stream.append(element);
    return element;
  }

  /** Close what is being written; reasoning folds away when the answer begins. */
  #end() {
    if (this.#kind === "reasoning") this.#block.parentElement.open = false;
    this.#kind = "";
    this.#block = null;
  }

  /** Strike what is no part of the answer, and begin another. */
  #refuse(blocks) {
    for (const block of blocks) {
      const struck = document.createElement("del");
      block.replaceWith(struck);
      struck.append(block);
    }
    this.#end();
    this.#said = [];
    this.#answer = null;
  }

  #line(className, text) {
    this.#end();
    const line = document.createElement("p");
    line.className = className;
    line.textContent = text;
    this.#stream.append(line);
  }

  #card({ id, name }) {
    let card = this.#cards.get(id);
    // A provider may use an id again in a later step.
    if (!card || card.done) {
      this.#end();
      card = new Card(name);
      this.#cards.set(id, card);
      this.#stream.append(card.element);
    }
    return card;
  }
}

function isJSON(blocks) {
  try {
    JSON.parse(blocks.map((block) => block.textContent).join(""));
    return true;
  } catch {
    return false;
  }
}
