// The API: requests with the token, where one is needed, and the stream of events.

const PATIENCE = 5000;
const KEY = "ferry-token";

let token = sessionStorage.getItem(KEY);

// An answer that is not 200; `status` 0 stands for none.
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function setToken(value) {
  token = value;
  sessionStorage.setItem(KEY, value);
}

async function send(path, options) {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (options.signal?.aborted && options.signal.reason?.name === "AbortError") throw error;
    throw new Failure(0, "Ferry does not answer");
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  throw new Failure(answer.status, body.error ?? answer.statusText);
}

async function json(path, options) {
  const answer = await send(path, options);
  try {
    return [await answer.json(), answer.headers];
  } catch (error) {
    if (options.signal?.aborted && options.signal.reason?.name === "AbortError") throw error;
    throw new Failure(0, "Ferry went away while it answered");
  }
}

export async function get(path) {
  return (await json(path, { signal: AbortSignal.timeout(PATIENCE) }))[0];
}

export async function change(method, path, body, type) {
  const headers = { "Content-Type": type };
  return (await json(path, { method, body, headers, signal: AbortSignal.timeout(60000) }))[0];
}

// A list page by page, as the Link header leads on (RFC 8288).
export async function* pages(path, signal) {
  for (let next = path; next; ) {
    const [list, headers] = await json(next, { signal });
    yield list;
    next = headers.get("link")?.match(/^<([^>]*)>; rel="next"$/)?.[1];
  }
}

// Each event until the stream ends. EventSource would not carry a token.
export async function* events() {
  const answer = await send("/v1/events", {});
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (text + value).split("\n");
    text = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ")) yield JSON.parse(line.slice(6));
    }
  }
}
