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

/** Send JSON; returns the status and what came back. */
export async function post(path, body, headers = {}) {
  const response = await request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, value: await response.json() };
}
