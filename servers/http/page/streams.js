// A run's events, over server-sent events or WebSocket, with reconnection.

import { Problem, request } from "./api.js";

const SILENCE = 45_000; // ms; the server sends a comment every 15 s
const SIGN = 15_000; // ms between two requests for a sign of life over a WebSocket
const LONGEST_WAIT = 15_000; // ms between two attempts

/** Server-sent events from text in pieces (HTML standard, section 9.2.6). */
export class SSEDecoder {
  #rest = "";
  #data = [];
  #id = "";

  /** Take a piece; returns the events that it completes, as {id, data}. */
  feed(text) {
    const events = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!\n|$)/);
    // A final CR may be half of a CRLF: it stays in the rest.
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length) events.push({ id: this.#id, data: this.#data.join("\n") });
        this.#data = [];
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "data") this.#data.push(value);
      else if (field === "id" && !value.includes("\0")) this.#id = value;
    }
    return events;
  }
}

/** Yields what one connection brings, in batches of {id, event}. */
async function* openSSE(runId, cursor, signal, onOpen) {
  const silence = new AbortController();
  const headers = { Accept: "text/event-stream, application/json" };
  if (cursor) headers["Last-Event-ID"] = cursor;
  const both = AbortSignal.any([signal, silence.signal]);
  const response = await request(`runs/${runId}/events`, { headers, signal: both });
  onOpen();
  if (response.status === 204) return;
  const decoder = new SSEDecoder();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let timer;
  try {
    for (;;) {
      timer = setTimeout(() => silence.abort(), SILENCE);
      const { done, value } = await reader.read();
      clearTimeout(timer);
      if (done) return;
      const events = decoder.feed(value);
      if (events.length) yield events.map(({ id, data }) => ({ id, event: JSON.parse(data) }));
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

/**
 * The same over a WebSocket of its own, so that cutting it cuts this viewer only.
 *
 * A page sees no pings. What it can ask for at any time, and what changes nothing, is to follow a
 * run no longer that it does not follow.
 */
async function* openWebSocket(url, runId, cursor, signal, onOpen) {
  const socket = new WebSocket(url);
  const queue = [];
  let wake = () => {};
  const put = (item) => {
    queue.push(item);
    wake();
  };
  const close = () => socket.close();
  signal.addEventListener("abort", close, { once: true });
  const ask = (request) => socket.send(JSON.stringify(request));
  let heard = Date.now();
  const signs = setInterval(() => {
    // A socket that is closed without an answer says so only much later.
    if (Date.now() - heard > SILENCE) put(null);
    else if (socket.readyState === WebSocket.OPEN) ask({ type: "unsubscribe", runId: "-" });
  }, SIGN);
  socket.onopen = () => ask({ type: "subscribe", requestId: "1", runId, after: cursor || 0 });
  socket.onmessage = ({ data }) => {
    heard = Date.now();
    put(JSON.parse(data));
  };
  socket.onclose = () => put(null);
  try {
    for (;;) {
      if (!queue.length) await new Promise((resolve) => (wake = resolve));
      signal.throwIfAborted();
      const events = [];
      let closed = false;
      for (const message of queue.splice(0).flat()) {
        if (message === null) {
          closed = true;
        } else if (message.type === "subscribed") {
          onOpen();
        } else if (message.type === "subscription-error" || (message.requestId && message.error)) {
          throw refusal(message.error);
        } else if (message.id) {
          const { id, runId: _, ...event } = message;
          events.push({ id, event });
        }
      }
      if (events.length) yield events;
      if (closed) return;
    }
  } finally {
    signal.removeEventListener("abort", close);
    clearInterval(signs);
    socket.close();
  }
}

const PASSING = new Set(["draining", "internal", "limit-exceeded", "run-moved", "store-unavailable"]);

function refusal({ code, message }) {
  return new Problem(PASSING.has(code) ? 503 : 400, code, message, 0);
}

/** The offset in a cursor of this run; NaN if it is of another one. */
function offsetOf(cursor, runId) {
  return cursor.startsWith(`${runId}.`) ? Number(cursor.slice(cursor.lastIndexOf(".") + 1)) : NaN;
}

const TERMINAL = new Set(["run-finish", "error"]);

/**
 * Follows a run to its terminal event: each event once, however often the connection breaks.
 *
 * onState tells what the connection does: connecting, live, waiting (before the next attempt),
 * cut, ended, refused.
 */
export class Follower {
  #abort = null;
  cursor = "";
  offset = 0;
  ended = false;
  state = "cut";

  constructor(runId, { transport, onEvents, onState }) {
    this.runId = runId;
    this.transport = transport;
    this.onEvents = onEvents;
    this.onState = onState;
  }

  /** Cut the connection; the run does not notice unless that is its policy. */
  cut() {
    this.#abort?.abort();
    if (!this.ended) this.#become("cut");
  }

  /** Connect, and reconnect, until the terminal event came or the connection is cut. */
  async follow() {
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    for (let attempt = 0; !this.ended; attempt++) {
      let pause = 0;
      this.#become("connecting");
      try {
        for await (const events of this.#open(signal)) {
          if (signal.aborted) return;
          attempt = 0;
          this.#take(events);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Problem && !error.passing) return this.#become("refused", error);
        pause = error.retryAfter ?? 0;
      }
      if (signal.aborted || this.ended) return;
      pause ||= Math.min(1000 * 2 ** attempt, LONGEST_WAIT) * (0.5 + Math.random() / 2);
      this.#become("waiting", pause);
      await sleep(pause, signal);
      if (signal.aborted) return;
    }
  }

  #open(signal) {
    const onOpen = () => signal.aborted || this.#become("live");
    const { url } = this.transport();
    return url
      ? openWebSocket(url, this.runId, this.cursor, signal, onOpen)
      : openSSE(this.runId, this.cursor, signal, onOpen);
  }

  #take(events) {
    const news = [];
    for (const { id, event } of events) {
      const offset = offsetOf(id, this.runId);
      if (offset !== this.offset + 1) {
        // The server never does this. If it did, a viewer must not hide it.
        const came = Number.isNaN(offset) ? id : offset;
        throw new Problem(400, "gap", `event ${came} came after event ${this.offset}`, 0);
      }
      this.cursor = id;
      this.offset = offset;
      this.ended ||= TERMINAL.has(event.type);
      news.push(event);
    }
    this.onEvents(news);
    if (this.ended) {
      this.#become("ended");
      this.#abort.abort();
    }
  }

  #become(state, detail) {
    this.state = state;
    this.onState(state, detail);
  }
}

function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
