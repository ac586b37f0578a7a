// The page: which run is shown, by how many viewers, and the list of all of them.

import { Problem, ask, hasToken, newKey, postAgain, setToken } from "./api.js";
import { clone } from "./elements.js";
import { Viewer, countOf, statusText } from "./viewer.js";

const MOST_VIEWERS = 4;
const PAGE = 50;
const EXAMPLES = [
  "Explain structured concurrency in three sentences.",
  "Write a short poem about a river that never stops.",
  "What can you do? Use a tool if you have one.",
];

const $ = (id) => document.getElementById(id);

/** Titles of runs: all of the prompt if this page asked, else what the run's metadata says. */
const titles = new Map();
/** When this page asked for a run, by its own clock. */
const asked = new Map();

let settings = { websocketPort: null };
let viewers = [];
let shown = ""; // the id of the run that is shown
let limit = PAGE;
let polling;
let seenRuns = [];

/* Transport and token */

function transport() {
  const wanted = $("transport").querySelector("input:checked").value;
  if (settings.websocketPort === null || wanted === "sse") return { name: "SSE", url: "" };
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return { name: "WebSocket", url: `${scheme}://${location.hostname}:${settings.websocketPort}/` };
}

function showTransport() {
  $("transport").hidden = settings.websocketPort === null;
  // A browser can't send a header with a WebSocket's handshake.
  $("transport").disabled = hasToken();
  $("transport").title = hasToken() ? "A browser can’t send a token over WebSocket" : "";
  if (hasToken()) $("transport").querySelector("[value=sse]").checked = true;
}

$("transport").addEventListener("change", () => {
  for (const viewer of viewers) viewer.reconnect();
});

$("token").addEventListener("change", async () => {
  setToken($("token").value.trim());
  showTransport();
  say("");
  await loadAgents();
  pollRuns();
  for (const viewer of viewers) viewer.reconnect();
});

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  closeAccess();
});

$("access").addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeAccess();
});

document.addEventListener("pointerdown", (event) => {
  if (!$("access").contains(event.target)) $("access").open = false;
});

function closeAccess() {
  $("access").open = false;
  $("access").querySelector("summary").focus();
}

/** Tell what is wrong; nothing if the text is empty. */
function say(text) {
  $("banner").textContent = text;
  $("banner").hidden = !text;
}

function explain(error) {
  if (error instanceof Problem && error.status === 401) {
    $("access").open = true;
    $("token").focus();
    return say("This server wants an access token.");
  }
  say(error instanceof Problem ? error.message : "The server can’t be reached.");
}

/* Announcements for screen readers */

function announce(text) {
  $("announcer").textContent = text;
}

/* Viewers */

function show(runId) {
  shown = runId;
  for (const viewer of viewers) viewer.close();
  viewers = [];
  document.body.classList.toggle("showing", Boolean(runId));
  if (runId) addViewer();
  markCurrent();
}

function addViewer() {
  const viewer = new Viewer(shown, {
    title: titles.get(shown),
    asked: viewers.length ? undefined : asked.get(shown),
    add: () => {
      addViewer().element.querySelector(".close").focus();
    },
    close: (closed) => {
      closed.close();
      viewers = viewers.filter((other) => other !== closed);
      number();
      viewers.at(-1).element.querySelector(".add").focus();
    },
    changed: () => {
      compare();
      pollRuns();
    },
    announce,
    transport,
  });
  viewers.push(viewer);
  $("viewers").append(viewer.element);
  number();
  return viewer;
}

function number() {
  viewers.forEach((viewer, index) => viewer.setNumber(index + 1, viewers.length));
  $("viewers").dataset.count = viewers.length;
  for (const { element } of viewers) {
    element.querySelector(".add").hidden = viewers.length >= MOST_VIEWERS;
  }
}

/** When several viewers have come to the end: have they seen the same? */
function compare() {
  if (viewers.length < 2 || !viewers.every((viewer) => viewer.ended)) return;
  const [first, ...others] = viewers;
  const sum = ({ events, digest }) => `${events} ${digest}`;
  const same = others.every((other) => sum(other) === sum(first));
  const text = same
    ? `${others.length === 1 ? "Both" : `All ${viewers.length}`} viewers saw the same ${countOf(first.events, "event")}.`
    : "The viewers saw different events. This must not happen: please report it.";
  viewers.at(-1).note(text);
  announce(text);
}

/* Runs */

async function pollRuns() {
  clearTimeout(polling);
  if (document.hidden) return;
  try {
    const { runs } = await ask(`runs?limit=${limit}`);
    $("older").hidden = runs.length < limit || limit >= 500;
    drawRuns(runs);
  } catch (error) {
    // The banner speaks when somebody asked for something.
    if (error instanceof Problem && error.status === 401) drawRuns([]);
  }
  clearTimeout(polling);
  const active = seenRuns.some(({ status }) => status === "active");
  polling = setTimeout(pollRuns, active ? 1500 : 5000);
}

const rows = new Map();

function drawRuns(runs) {
  seenRuns = runs;
  $("no-runs").hidden = runs.length > 0;
  const ids = new Set(runs.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (!ids.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  runs.forEach((run, index) => {
    let row = rows.get(run.id);
    if (!row) {
      row = clone("run-template");
      row.firstElementChild.href = `#run=${run.id}`;
      rows.set(run.id, row);
    }
    // Moving an element takes the focus away from it.
    const there = $("run-list").children[index];
    if (there !== row) $("run-list").insertBefore(row, there ?? null);
    drawRun(row, run);
  });
  markCurrent();
}

function drawRun(row, run) {
  const title = run.metadata?.title;
  if (typeof title === "string" && !titles.has(run.id)) {
    titles.set(run.id, title);
    for (const viewer of viewers) if (viewer.runId === run.id) viewer.setTitle(title);
  }
  const part = (name) => row.querySelector(name);
  part(".title").textContent = titles.get(run.id) || `Run ${run.id.slice(0, 8)}`;
  part(".status").dataset.status = run.status;
  part(".status").textContent = statusText(run.status);
  part(".agent").textContent = run.agent;
  const watchers = run.viewers ?? 0;
  part(".watchers").textContent = watchers ? countOf(watchers, "viewer") : "";
  const created = new Date(run.createdAt);
  part("time").dateTime = created.toISOString();
  part("time").textContent = created.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function markCurrent() {
  for (const [id, row] of rows) {
    if (id === shown) row.firstElementChild.setAttribute("aria-current", "page");
    else row.firstElementChild.removeAttribute("aria-current");
  }
}

$("older").addEventListener("click", () => {
  limit = Math.min(limit + PAGE, 500);
  pollRuns();
});

$("runs-toggle").addEventListener("click", () => toggleRuns());

function toggleRuns(open = $("runs-toggle").getAttribute("aria-expanded") !== "true") {
  $("runs-toggle").setAttribute("aria-expanded", String(open));
  document.body.classList.toggle("runs-open", open);
}

/* Agents */

async function loadAgents() {
  try {
    const { agents } = await ask("agents");
    $("agent").replaceChildren(
      ...agents.map(({ name, tools }) => {
        const option = new Option(name, name);
        option.dataset.tools = tools.join(", ");
        return option;
      }),
    );
    // With one agent there is nothing to choose.
    $("agent-label").hidden = agents.length < 2;
    drawTools();
  } catch (error) {
    explain(error);
  }
}

function drawTools() {
  const tools = $("agent").selectedOptions[0]?.dataset.tools;
  $("tools").textContent = tools ? `tools: ${tools}` : "";
}

$("agent").addEventListener("change", drawTools);

/* A new run */

$("prompt").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const prompt = $("prompt").value;
  if (prompt.trim() && !$("send").disabled) start(prompt);
});

async function start(prompt) {
  const since = performance.now();
  const title = prompt.trim().slice(0, 200);
  const body = { prompt, metadata: { title } };
  if ($("agent").value) body.agent = $("agent").value;
  $("send").disabled = true;
  say("");
  try {
    // The key makes it the same run if it is asked for again.
    const { value } = await postAgain("runs", body, { "Idempotency-Key": newKey() });
    titles.set(value.id, prompt);
    asked.set(value.id, since);
    $("prompt").value = "";
    toggleRuns(false);
    announce("The run has started.");
    location.hash = `run=${value.id}`;
    pollRuns();
  } catch (error) {
    explain(error);
  } finally {
    $("send").disabled = false;
  }
}

/* The page */

function route() {
  const runId = /^#run=([\w-]+)$/.exec(location.hash)?.[1] ?? "";
  if (!runId && location.hash) return; // a link within the page
  if (runId !== shown) show(runId);
  toggleRuns(false);
}

function drawExamples() {
  for (const text of EXAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => start(text));
    const item = document.createElement("li");
    item.append(button);
    $("examples").append(item);
  }
}

addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => document.hidden || pollRuns());

drawExamples();
settings = await ask("page/settings.json").catch(() => settings);
showTransport();
await loadAgents();
pollRuns();
route();
