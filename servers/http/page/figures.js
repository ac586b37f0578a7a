// The figures of a run, from the times at which the server says that its events happened.

export function seconds(ms) {
  if (ms < 1) return "< 1 ms";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

const TERMINAL = new Set(["run-finish", "error"]);
const SPOKEN = new Set(["text-delta", "reasoning-delta", "output-delta", "tool-input-delta"]);

export class Figures {
  #started;
  #first;
  #stepFirst;
  #last;
  #deltas = 0;
  #paced = 0; // deltas behind the first one of their step
  #speaking = 0; // ms from each step's first delta to its last one
  #usage;
  #own; // usage without sub-agents
  #events = 0;
  #seen; // client clock, from the request to the first delta

  /** asked: when this page asked for the run, by its own clock; undefined if another one did. */
  constructor(asked) {
    this.asked = asked;
  }

  take(event) {
    this.#events++;
    this.#started ??= event.at;
    if (event.type === "step-start") this.#stepFirst = undefined;
    if (SPOKEN.has(event.type)) {
      this.#deltas++;
      this.#first ??= event.at;
      if (this.asked) this.#seen ??= performance.now() - this.asked;
      if (this.#stepFirst === undefined) {
        this.#stepFirst = event.at;
      } else {
        this.#paced++;
        this.#speaking += event.at - this.#last;
      }
    }
    if (SPOKEN.has(event.type) || this.#last === undefined) this.#last = event.at;
    // What a failed run cost comes with its error.
    const usage = event.type === "run-finish" ? event.run.usage : event.usage;
    if (TERMINAL.has(event.type) && usage?.outputTokens) this.#usage = usage;
    if (event.type === "run-finish") this.#own = event.run.ownUsage;
    this.ended = event.at;
  }

  /** What to show: [name, value, explanation]. */
  rows() {
    const rows = [];
    if (this.#first !== undefined) {
      const note = "from the run’s start to its first token, by the server’s clock";
      rows.push(["first token", seconds(this.#first - this.#started), note]);
    }
    if (this.#seen !== undefined) {
      rows.push(["seen after", seconds(this.#seen), "from Send to the first token on this page"]);
    }
    if (this.#speaking > 0) {
      const speed = (this.#paced * 1000) / this.#speaking;
      const note = "while the model spoke; each delta counts as one token";
      rows.push(["tokens/s", speed.toFixed(speed < 100 ? 1 : 0), note]);
    }
    if (this.#usage) {
      rows.push(["tokens", tokens(this.#usage), "as the provider counted"]);
      if (this.#own && this.#own.totalTokens !== this.#usage.totalTokens) {
        rows.push(["of its own", tokens(this.#own), "without those of sub-agents"]);
      }
    }
    if (this.#events) {
      rows.push(["events", String(this.#events), "of the run’s log, each seen once"]);
      rows.push(["time", seconds(this.ended - this.#started), "from the first event to the last"]);
    }
    return rows;
  }
}

function tokens({ inputTokens, cachedInputTokens, outputTokens, reasoningTokens }) {
  const cached = cachedInputTokens ? ` (${cachedInputTokens} cached)` : "";
  const thought = reasoningTokens ? ` (${reasoningTokens} reasoning)` : "";
  return `${inputTokens} in${cached}, ${outputTokens} out${thought}`;
}
