// The routes of the service as functions, which throw a Problem if the answer is an error.

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// The key of this tab, if the service needs one. It is sent to this service only.
const KEY = "api-key";
let isDeclined = false; // the visitor has no key: not asked again before the page is reloaded

/** Asks for a key unless another request got one meanwhile; returns whether there is a new one. */
function hasNewKey(refused) {
  if (sessionStorage.getItem(KEY) !== refused) return true;
  if (isDeclined) return false;
  const given = window.prompt("This service needs an API key (ID.SECRET):");
  if (given) sessionStorage.setItem(KEY, given.trim());
  isDeclined = !given;
  return !isDeclined;
}

const pathOf = (...parts) => parts.map(encodeURIComponent).join("/");

async function request(method, path, { body, signal } = {}) {
  const key = sessionStorage.getItem(KEY);
  const response = await fetch(path, {
    method,
    signal,
    headers: {
      ...(body && { "Content-Type": "application/json" }),
      ...(key && { Authorization: `Bearer ${key}` }),
    },
    body: body && JSON.stringify(body),
  });
  if (response.status === 401 && hasNewKey(key)) return request(method, path, { body, signal });
  const answer = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Problem(response.status, answer.detail);
  return { answer, milliseconds: totalTime(response.headers.get("Server-Timing")) };
}

function totalTime(timing) {
  const total = /\btotal;dur=([\d.]+)/.exec(timing ?? "");
  return total && Number(total[1]);
}

export async function search(query, limit, signal) {
  const parameters = new URLSearchParams({ query, limit });
  return (await request("GET", `/v1/items?${parameters}`, { signal })).answer.items;
}

const items = new Map();

/** Returns an item with its attributes, which is requested once and then cached. */
export function item(itemId) {
  if (!items.has(itemId)) {
    const found = request("GET", `/v1/items/${pathOf(itemId)}`).then(({ answer }) => answer);
    found.catch(() => items.delete(itemId));
    items.set(itemId, found);
  }
  return items.get(itemId);
}

export const model = async () => (await request("GET", "/v1/model")).answer;

export const experiments = async () => (await request("GET", "/v1/experiments")).answer;

export const examples = async () => (await request("GET", "/v1/examples")).answer.histories;

export const recommend = (query, signal) =>
  request("POST", "/v1/recommendations", { body: query, signal });

export const compare = async (query, signal) =>
  (await request("POST", "/v1/compare", { body: query, signal })).answer;

export const readSession = async (sessionId) =>
  (await request("GET", `/v1/sessions/${pathOf(sessionId)}`)).answer;

export const appendEvent = (sessionId, itemId, eventId) =>
  request("POST", `/v1/sessions/${pathOf(sessionId)}/events`, {
    body: { item_id: itemId, event_id: eventId },
  });

export const forgetSession = (sessionId) => request("DELETE", `/v1/sessions/${pathOf(sessionId)}`);
