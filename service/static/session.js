// The visitor's history: a session of the service. The browser stores the session's id.

import { PageError, appendEvent, forgetSession, isRefusal, item, readSession } from "./api.js";
import { newEventId as newId } from "./recommender-client.js";

const STORAGE_KEY = "session";
/** The event is on the disk of the service, which will store it without a second try. */
const SAFE = "journalled";
/** What no try can change: the settings of the service leave such events out of histories. */
const FINAL = "not_in_history";

export class Session {
  id = localStorage.getItem(STORAGE_KEY);
  /** Items, oldest first. */
  history = [];
  /** Ids of the events that may not be stored, by item: a second try stores none twice. */
  #tried = new Map();

  /** Reads the history of an earlier visit. */
  async resume() {
    if (!this.id) return;
    try {
      const { history, degraded } = await readSession(this.id);
      if (degraded) throw new PageError("The stored history cannot be read now. Reload the page later.");
      this.history = await Promise.all(history.map(nameOrId));
    } catch (error) {
      if (!isRefusal(error, 404)) throw error;
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
    const eventId = this.#tried.get(added.item_id) ?? newId();
    this.#tried.set(added.item_id, eventId);
    const { stored, reason } = await appendEvent(this.id, added.item_id, eventId);
    if (!stored && reason !== SAFE) throw new PageError(refusalOf(reason));
    this.#tried.delete(added.item_id);
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
    this.#tried.clear();
  }
}

const refusalOf = (reason) =>
  reason === FINAL
    ? "This service keeps no events of this page in histories: nothing can be added."
    : "The service cannot keep this now. Try it again.";

// An item's id replaces its title if the served catalog does not have it, as after a hot swap.
const nameOrId = (itemId) =>
  item(itemId).catch(() => ({ item_id: itemId, title: itemId, attributes: {} }));
