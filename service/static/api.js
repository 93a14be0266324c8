// The routes that the pages call, and the key of this tab.

import { Client, ProblemError, UnauthorizedError, UnusableKeyError } from "./recommender-client.js";
import { TabKey } from "./tab_key.js";

/** An error whose message the visitor shall read. */
export class PageError extends Error {}

const READABLE = [ProblemError, PageError, UnusableKeyError];

/** Returns the text to show for an error. */
export const messageOf = (error) =>
  READABLE.some((kind) => error instanceof kind) ? error.message : "The service does not answer.";

/** Returns whether the service refused a request with one of `statuses`. */
export const isRefusal = (error, ...statuses) =>
  error instanceof ProblemError && statuses.includes(error.status);

// The key of this tab, if the service needs one. It is sent to this service only.
const key = new TabKey("api-key");
const QUESTION = "This service needs an API key (ID.SECRET):";
const client = new Client("", { key: () => key.value });
let isDeclined = false; // the visitor has no key: not asked again before the page is reloaded

/** Asks for a key unless another request got one meanwhile; returns whether there is a new one. */
function hasNewKey(refused) {
  if (key.value !== refused) return true;
  if (isDeclined) return false;
  isDeclined = !isGiven(QUESTION);
  return !isDeclined;
}

/** Asks until the visitor gives a key that can be sent; returns false if there is none. */
function isGiven(question) {
  const given = window.prompt(question);
  if (!given) return false;
  try {
    key.keep(given);
    return true;
  } catch (error) {
    return isGiven(`${messageOf(error)}\n\n${QUESTION}`);
  }
}

async function send(method, path, asked) {
  const sent = key.value;
  try {
    const { answer, headers } = await client.send(method, path, asked);
    return { answer, milliseconds: totalTime(headers.get("Server-Timing")) };
  } catch (error) {
    if (error instanceof UnauthorizedError && hasNewKey(sent)) return send(method, path, asked);
    throw error;
  }
}

const answerOf = async (method, path, asked) => (await send(method, path, asked)).answer;

function totalTime(timing) {
  const total = /\btotal;dur=([\d.]+)/.exec(timing ?? "");
  return total && Number(total[1]);
}

export const search = async (query, limit, signal) =>
  (await answerOf("get", "/v1/items", { query: { query, limit }, signal })).items;

const items = new Map();

/** Returns an item with its attributes, which is requested once and then cached. */
export function item(itemId) {
  if (!items.has(itemId)) {
    const found = answerOf("get", "/v1/items/{item_id}", { path: { item_id: itemId } });
    found.catch(() => items.delete(itemId));
    items.set(itemId, found);
  }
  return items.get(itemId);
}

export const model = () => answerOf("get", "/v1/model");

export const examples = async () => (await answerOf("get", "/v1/examples")).histories;

export const recommend = (query, signal) =>
  send("post", "/v1/recommendations", { body: query, signal });

// Not repeated, because the page says at once if there is no teacher.
export const compare = (query, signal) =>
  answerOf("post", "/v1/compare", { body: query, signal, repeats: 0 });

export const readSession = (sessionId) =>
  answerOf("get", "/v1/sessions/{session_id}", { path: { session_id: sessionId } });

export const appendEvent = (sessionId, itemId, eventId) =>
  answerOf("post", "/v1/sessions/{session_id}/events", {
    path: { session_id: sessionId },
    body: { item_id: itemId, event_id: eventId },
  });

export const forgetSession = (sessionId) =>
  answerOf("delete", "/v1/sessions/{session_id}", { path: { session_id: sessionId } });
