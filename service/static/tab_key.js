// A key that the visitor gives. It is kept in this tab until it is closed.

import { checkKey } from "./recommender-client.js";

export class TabKey {
  #name;

  /** `name`: name of the key in the storage of the tab. */
  constructor(name) {
    this.#name = name;
  }

  /** The key; null without one. */
  get value() {
    return sessionStorage.getItem(this.#name);
  }

  /** Keeps a key; throws an `UnusableKeyError` if it cannot be sent. */
  keep(given) {
    const key = given.trim();
    checkKey(key);
    sessionStorage.setItem(this.#name, key);
  }

  forget() {
    sessionStorage.removeItem(this.#name);
  }
}
