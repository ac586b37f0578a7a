// Requests to the server, and its errors.

const LONGEST_WISH = 30_000; // ms of a Retry-After that are respected

let token = "";

export function setToken(value) {
  token = value;
}

export const hasToken = () => token !== "";

/** What the server answered instead of what was asked for. */
export class Problem extends Error {
  constructor(status, code, message, retryAfter) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** Whether asking the same again may help. */
  get passing() {
    return this.status >= 500 || this.status === 429;
  }
}

/** Ask; returns the response if it is a good one. */
export async function request(path, { headers = {}, ...options } = {}) {
  const credentials = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, {
    cache: "no-store",
    ...options,
    headers: { ...headers, ...credentials },
  });
  if (response.ok) return response;
  const wish = Number(response.headers.get("retry-after")) * 1000 || 0;
  const retryAfter = Math.min(Math.max(wish, 0), LONGEST_WISH);
  const { error } = await response.json().catch(() => ({}));
  throw new Problem(
    response.status,
    error?.code ?? "http",
    error?.message ?? `the server answered ${response.status}`,
    retryAfter,
  );
}

/** Ask for JSON. */
export async function ask(path, options) {
  return (await request(path, options)).json();
}

/** A key by which a server knows what it was sent before. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Send what may be sent twice: if its answer was lost, it is sent again. */
export async function postAgain(path, body, headers) {
  try {
    return await post(path, body, headers);
  } catch (error) {
    if (error instanceof Problem) throw error;
    return post(path, body, headers);
  }
}

/** Send JSON; returns the status and what came back. */
export async function post(path, body, headers = {}) {
  const response = await request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, value: await response.json() };
}
