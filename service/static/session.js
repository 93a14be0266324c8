// The visitor's history: a session of the service, its key kept in this browser.

import { Problem, appendEvent, forgetSession, item, readSession } from "./api.js";

const KEY = "session";

// Not crypto.randomUUID, which a plain http:// host does not have.
const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0")).join("");

export class Session {
  id = localStorage.getItem(KEY);
  /** Items, oldest first. */
  history = [];

  /** Reads what the service has kept from an earlier visit. */
  async resume() {
    if (!this.id) return;
    try {
      const { history, degraded } = await readSession(this.id);
      if (degraded) throw new Problem(503, "What the service has kept cannot be read now.");
      this.history = await Promise.all(history.map(nameOrId));
    } catch (error) {
      if (!(error instanceof Problem && error.status === 404)) throw error;
      this.#drop();
    }
  }

  /** Once is enough for a page, though not for a session. */
  async append(added) {
    if (this.history.some((each) => each.item_id === added.item_id)) return;
    if (!this.id) {
      this.id = newKey();
      localStorage.setItem(KEY, this.id);
    }
    const { answer } = await appendEvent(this.id, added.item_id, newKey());
    if (!answer.stored) throw new Problem(503, "The service cannot keep this now. Try it again.");
    this.history = [...this.history, added];
  }

  remove(item) {
    return this.replace(this.history.filter((each) => each.item_id !== item.item_id));
  }

  /** Events cannot be taken back, so another history is another session. */
  async replace(history) {
    await this.forget();
    for (const each of history) await this.append(each);
  }

  async forget() {
    if (this.id) await forgetSession(this.id);
    this.#drop();
  }

  #drop() {
    localStorage.removeItem(KEY);
    this.id = null;
    this.history = [];
  }
}

// A session outlives catalogs: an item of the last one may be unknown to this one.
const nameOrId = (itemId) =>
  item(itemId).catch(() => ({ item_id: itemId, title: itemId, attributes: {} }));
