// The box by which one tells a run something while it is under way.

import { newKey, postAgain } from "./api.js";

export class SayBox {
  #form;
  #words;
  #button;
  #key; // of what stands in the box: it is said once, however often it is sent
  #note;

  /** note(text): tells the reader something. */
  constructor(form, runId, note) {
    this.#form = form;
    this.#words = form.querySelector("input");
    this.#button = form.querySelector("button");
    this.#note = note;
    this.#words.addEventListener("input", () => (this.#key = undefined));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#words.value.trim() && !this.#words.readOnly) this.#say(runId);
    });
  }

  show(shown) {
    this.#form.hidden = !shown;
  }

  /**
   * The server answers when the run has taken it, which is behind what the model says now, or after
   * a while that it has not yet.
   */
  async #say(runId) {
    this.#key ??= newKey();
    this.#busy(true);
    try {
      const path = `runs/${runId}/messages`;
      const headers = { "Idempotency-Key": this.#key };
      let told;
      do {
        told = await postAgain(path, { content: this.#words.value }, headers);
      } while (told.value.pending);
      this.#words.value = "";
      this.#key = undefined;
    } catch (error) {
      this.#note(`The run was not told: ${error.message}`);
    }
    this.#busy(false);
  }

  // Not disabled: that would take the focus away.
  #busy(busy) {
    this.#words.readOnly = busy;
    this.#button.setAttribute("aria-disabled", String(busy));
    this.#button.textContent = busy ? "Telling" : "Tell";
  }
}
