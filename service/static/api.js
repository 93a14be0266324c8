// The service as functions; what goes wrong is a Problem.

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

const at = (...parts) => parts.map(encodeURIComponent).join("/");

async function request(method, path, { body, signal } = {}) {
  const response = await fetch(path, {
    method,
    signal,
    headers: body && { "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const answer = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Problem(response.status, answer.detail);
  return { answer, milliseconds: totalTime(response.headers.get("Server-Timing")) };
}

function totalTime(timing) {
  const total = /\btotal;dur=([\d.]+)/.exec(timing ?? "");
  return total && Number(total[1]);
}

export async function search(query, limit, signal) {
  const words = new URLSearchParams({ query, limit });
  return (await request("GET", `/v1/items?${words}`, { signal })).answer.items;
}

const items = new Map();

/** An item with its attributes; asked once. */
export function item(itemId) {
  if (!items.has(itemId)) {
    const asked = request("GET", `/v1/items/${at(itemId)}`).then(({ answer }) => answer);
    asked.catch(() => items.delete(itemId));
    items.set(itemId, asked);
  }
  return items.get(itemId);
}

export const model = async () => (await request("GET", "/v1/model")).answer;

export const examples = async () => (await request("GET", "/v1/examples")).answer.histories;

export const recommend = (wanted, signal) =>
  request("POST", "/v1/recommendations", { body: wanted, signal });

export const compare = async (wanted, signal) =>
  (await request("POST", "/v1/compare", { body: wanted, signal })).answer;

export const readSession = async (sessionId) =>
  (await request("GET", `/v1/sessions/${at(sessionId)}`)).answer;

export const appendEvent = (sessionId, itemId, eventId) =>
  request("POST", `/v1/sessions/${at(sessionId)}/events`, {
    body: { item_id: itemId, event_id: eventId },
  });

export const forgetSession = (sessionId) => request("DELETE", `/v1/sessions/${at(sessionId)}`);
