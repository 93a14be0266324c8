// Reads the figures of a page for operators again and again, with a key that its form asks for.

import { messageOf } from "./api.js";
import { Client, ForbiddenError, ProblemError, UnauthorizedError } from "./recommender-client.js";
import { TabKey } from "./tab_key.js";

const key = new TabKey("admin-key"); // apart from the visitor's, which lacks the scope
const element = (id) => document.getElementById(id);

export class Readings {
  #page;
  #client;
  #timer = null;
  #reading = new AbortController(); // aborts the reading under way

  /**
   * `content`: id of the part of the page that is for operators only. `everyMs`: time between two
   * readings. `read` is called with a client and the signal that ends the reading, and returns what
   * `show` shows; `show` returns a note on it. `forget` is called when the key is refused or
   * forgotten.
   */
  constructor(page) {
    this.#page = page;
    this.#client = new Client("", {
      key: () => key.value,
      repeats: 0, // because the next reading comes soon anyway
      timeoutMs: 2 * page.everyMs,
    });
    element("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#use(element("key").value);
    });
    element("forget-key").addEventListener("click", () => {
      key.forget();
      this.#hide();
      this.refresh();
    });
  }

  /** Reads and shows the figures, now and from now on. */
  async refresh() {
    clearTimeout(this.#timer);
    this.#reading.abort(); // what it reads with a key that is forgotten must not be shown
    this.#reading = new AbortController();
    const { signal } = this.#reading;
    try {
      const found = await this.#page.read(this.#client, signal);
      if (signal.aborted) return;
      element("read").textContent = this.#page.show(found);
      element(this.#page.content).hidden = false;
      element("key-form").hidden = true;
      element("alarm").hidden = true;
    } catch (error) {
      if (signal.aborted) return;
      alarm(error);
      if (error instanceof UnauthorizedError || error instanceof ForbiddenError) {
        this.#askForKey();
        return;
      }
    }
    element("forget-key").hidden = key.value === null;
    this.#timer = setTimeout(() => this.refresh(), this.#page.everyMs);
  }

  #use(given) {
    element("key").value = "";
    try {
      key.keep(given);
    } catch (error) {
      alarm(error);
      return;
    }
    this.refresh();
  }

  #hide() {
    this.#page.forget?.();
    element(this.#page.content).hidden = true;
    element("forget-key").hidden = true;
  }

  #askForKey() {
    this.#hide();
    element("key-form").hidden = false;
    element("key").focus();
  }
}

function alarm(error) {
  if (!(error instanceof ProblemError)) console.error(error);
  element("alarm").textContent = messageOf(error);
  element("alarm").hidden = false;
}
