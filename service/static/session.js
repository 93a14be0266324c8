// The visitor's history: a session of the service. The browser stores the session's id.

import { Problem, appendEvent, forgetSession, item, readSession } from "./api.js";

const STORAGE_KEY = "session";

// Not crypto.randomUUID, which browsers offer over HTTPS only.
const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0")).join("");

export class Session {
  id = localStorage.getItem(STORAGE_KEY);
  /** Items, oldest first. */
  history = [];

  /** Reads the history of an earlier visit. */
  async resume() {
    if (!this.id) return;
    try {
      const { history, degraded } = await readSession(this.id);
      if (degraded) throw new Problem(503, "The stored history cannot be read now. Reload the page later.");
      this.history = await Promise.all(history.map(nameOrId));
    } catch (error) {
      if (!(error instanceof Problem && error.status === 404)) throw error;
      this.#drop();
    }
  }

  /** Appends an item, unless the history has it already. (A session could repeat it.) */
  async append(added) {
    if (this.history.some((each) => each.item_id === added.item_id)) return;
    if (!this.id) {
      this.id = newId();
      localStorage.setItem(STORAGE_KEY, this.id);
    }
    const { answer } = await appendEvent(this.id, added.item_id, newId());
    if (!answer.stored) throw new Problem(503, "The service cannot keep this now. Try it again.");
    this.history = [...this.history, added];
  }

  remove(item) {
    return this.replace(this.history.filter((each) => each.item_id !== item.item_id));
  }

  /** Replaces the history by a new session, because events cannot be removed from a session. */
  async replace(history) {
    await this.forget();
    for (const each of history) await this.append(each);
  }

  async forget() {
    if (this.id) await forgetSession(this.id);
    this.#drop();
  }

  #drop() {
    localStorage.removeItem(STORAGE_KEY);
    this.id = null;
    this.history = [];
  }
}

// An item's id replaces its title if the served catalog does not have it, as after a hot swap.
const nameOrId = (itemId) =>
  item(itemId).catch(() => ({ item_id: itemId, title: itemId, attributes: {} }));
