// What an agent says and does, as elements: the run's own, or that of a sub-agent within a call.

import { Card } from "./card.js";
import { append, clone } from "./elements.js";
import { shown } from "./files.js";

const ENDS = new Map([
  ["stop", "The model said all that it had to say."],
  ["length", "The answer reached the model’s length limit."],
  ["max-steps", "The run reached its limit of steps."],
  ["cancelled", "The run was stopped."],
  ["timeout", "A deadline passed."],
  ["budget", "The run’s budget is spent."],
]);

const CONTINUED = new Map([
  ["worker-lost", "Its server was lost: the run goes on."],
  ["handed-over", "Its server was stopped: the run goes on."],
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
  #step = []; // what stands here since this step began
  #cards = new Map();
  #answerCall;

  /**
   * answerCall(said): answers a call that waits. depth: 0 for the run's own agent, 1 for a
   * sub-agent, and so on.
   */
  constructor(stream, answerCall, depth = 0) {
    this.#stream = stream;
    this.#answerCall = answerCall;
    this.#depth = depth;
  }

  take(event) {
    switch (event.type) {
      case "step-start":
        this.#end();
        this.#refuse(this.#answer ? [this.#answer] : []);
        this.#step = [];
        if (event.stepNumber > 1) {
          this.#step.push(this.#line("step", `step ${event.stepNumber}`));
        }
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
      case "step-discard":
        this.#takeBack();
        break;
      case "user-message":
        this.#told(event);
        break;
      case "continued":
        // That somebody has answered stands at the call.
        if (event.reason !== "answered") {
          this.#line("step", CONTINUED.get(event.reason) ?? `The run goes on: ${event.reason}`);
        }
        break;
      case "tool-input-delta":
        this.#card(event.tool).written(event.delta);
        break;
      case "tool-call":
        this.#card(event.tool).called(event);
        break;
      case "tool-request":
        this.#card(event.tool).asks(event, this.#answerCall);
        break;
      case "tool-answer":
        this.#card(event.tool).answered(event);
        break;
      case "tool-progress":
        this.#card(event.tool).progress(event.data);
        break;
      case "nested": {
        const depth = this.#depth + 1;
        const card = this.#card({ id: event.call, name: event.call });
        const inner = (stream) => new Transcript(stream, this.#answerCall, depth);
        card.nested(event.event, depth, inner);
        break;
      }
      case "tool-result":
        this.#card(event.tool).ended(event);
        break;
      case "model-switch": {
        const { code, message } = event.error;
        const line = this.#line("step", `${event.from} → ${event.to} (${code}: ${message})`);
        this.#step.push(line);
        break;
      }
      case "run-finish":
        this.#finish(event.run);
        break;
      case "error":
        this.#asksNoMore();
        this.#line("end error", `${event.error.code}: ${event.error.message}`);
        break;
    }
  }

  #finish({ finishReason, reason, output }) {
    this.#asksNoMore();
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
    this.#step.push(element);
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

  /** Remove what this step has said: its answer broke off, and is asked for again. */
  #takeBack() {
    this.#end();
    for (const element of this.#step) element.remove();
    for (const [id, card] of this.#cards) {
      if (this.#step.includes(card.element)) this.#cards.delete(id);
    }
    this.#step = [];
    this.#said = [];
    this.#answer = null;
    this.#line("retry", "The answer broke off. What it said is taken back, and it is asked again.");
  }

  /** What somebody told the run while it was under way. */
  #told({ content, by }) {
    this.#end();
    const parts = typeof content === "string" ? [{ type: "text", text: content }] : content;
    const element = clone("told-template");
    element.querySelector(".by").textContent = by ?? "";
    element.append(
      ...parts.map((part) => (part.type === "text" ? (part.text ?? "") : shown(part))),
    );
    this.#stream.append(element);
  }

  /** The run has ended, and with it what it waited for. */
  #asksNoMore() {
    for (const card of this.#cards.values()) card.asksNoMore();
  }

  #line(className, text) {
    this.#end();
    const line = document.createElement("p");
    line.className = className;
    line.textContent = text;
    this.#stream.append(line);
    return line;
  }

  #card({ id, name }) {
    let card = this.#cards.get(id);
    // A provider may use an id again in a later step.
    if (!card || card.done) {
      this.#end();
      card = new Card(name);
      this.#cards.set(id, card);
      this.#stream.append(card.element);
      this.#step.push(card.element);
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
