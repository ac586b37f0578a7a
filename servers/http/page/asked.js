// A call that waits for a person: the question, and what one can say to it.

import { clone, pretty } from "./elements.js";

export class Asked {
  #form;
  #parts = {};
  #answer;
  #rest; // where the focus goes when the form has gone

  /**
   * request: the event. answer(said): tells the server; rest: what is focused afterwards.
   */
  constructor({ tool, kind, deadline }, answer, rest) {
    this.#answer = (said) => answer({ callId: tool.id, arguments: tool.input, ...said });
    this.#rest = rest;
    this.#form = clone("asked-template");
    for (const part of ["question", "choices", "words", "yes", "no", "until", "problem"]) {
      this.#parts[part] = this.#form.querySelector(`.${part}`);
    }
    if (kind === "approval") this.#approval(tool);
    else this.#input(tool);
    if (deadline) this.#parts.until.textContent = `until ${new Date(deadline).toLocaleString()}`;
  }

  get element() {
    return this.#form;
  }

  /** It waits no longer. */
  close() {
    this.#keepFocus();
    this.#form.remove();
  }

  #approval(tool) {
    const { question, words, yes, no } = this.#parts;
    question.textContent = `Is ${tool.name} to be called with these arguments?`;
    this.#name(words, "Reason", "Why not, for the model (optional)");
    yes.textContent = "Approve";
    yes.addEventListener("click", () => this.#say({ approve: true }));
    no.textContent = "Deny";
    no.addEventListener("click", () => this.#say({ approve: false, ...this.#reason() }));
  }

  /** It wants its result: a question to a person says so in words of its own. */
  #input(tool) {
    const { question, choices, words, yes, no } = this.#parts;
    const asked = tool.input?.question;
    question.textContent =
      typeof asked === "string" ? asked : `${tool.name} waits for its result, from you.`;
    const offered = Array.isArray(tool.input?.choices) ? tool.input.choices : [];
    for (const choice of offered) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = pretty(choice);
      button.addEventListener("click", () => this.#say({ output: choice }));
      choices.append(button);
    }
    this.#name(words, "Answer", "Answer");
    words.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#answerInWords();
    });
    yes.textContent = "Answer";
    yes.addEventListener("click", () => this.#answerInWords());
    no.textContent = "No answer";
    no.addEventListener("click", () => this.#say({ approve: false, ...this.#reason() }));
  }

  #answerInWords() {
    const { words } = this.#parts;
    if (words.value.trim()) this.#say({ output: words.value });
    else words.focus();
  }

  #reason() {
    const reason = this.#parts.words.value.trim();
    return reason && { reason };
  }

  #name(words, label, placeholder) {
    words.setAttribute("aria-label", label);
    words.placeholder = placeholder;
  }

  async #say(said) {
    const { problem } = this.#parts;
    if (this.#form.disabled) return;
    const focused = this.#keepFocus();
    this.#form.disabled = true;
    problem.hidden = true;
    try {
      await this.#answer(said);
    } catch (error) {
      problem.textContent = `This was not taken: ${error.message}`;
      problem.hidden = false;
      this.#form.disabled = false;
      focused?.focus();
    }
  }

  /** What is disabled or removed loses the focus: it goes to what stays; returns who had it. */
  #keepFocus() {
    const focused = document.activeElement;
    if (!this.#form.contains(focused)) return undefined;
    this.#rest.focus();
    return focused;
  }
}

/** What an answer says of a call, in a line. */
export function answered({ approved, by, reason }, kind) {
  const word = approved ? (kind === "approval" ? "approved" : "answered") : "denied";
  // Nobody is told of where servers ask nobody who they are.
  const who = by ? `${word} by ${by}` : word;
  return reason ? `${who}: ${reason}` : who;
}
