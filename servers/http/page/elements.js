// Elements of the page, and text in them. What comes from a run becomes text nodes, never HTML.

const PIECE = 4096; // characters of a text node, so that appending stays cheap
const SHORT = 200; // characters of what has to fit into a line

export const clone = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

export const pretty = (value) =>
  typeof value === "string" ? value : JSON.stringify(value, null, 2);

/** A JSON value in a line. */
export function short(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > SHORT ? `${text.slice(0, SHORT - 1)}…` : text;
}

/** Add text to the end of an element. */
export function append(element, text) {
  const last = element.lastChild;
  if (last?.nodeType === Node.TEXT_NODE && last.length < PIECE) last.appendData(text);
  else element.append(text);
}
