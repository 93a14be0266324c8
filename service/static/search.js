// The search box: a combobox as WAI-ARIA describes it.

import { search } from "./api.js";
import { tags } from "./ranking.js";

const LIMIT = 8;
const PAUSE_MS = 120;

export class SearchBox {
  #input = document.getElementById("query");
  #list = document.getElementById("found");
  #nothing = document.getElementById("nothing-found");
  #found = [];
  #active = -1;
  #timer = null;
  #asked = new AbortController();

  /** `choose` is called with the item; `fail` with what went wrong. */
  constructor(choose, fail) {
    this.choose = choose;
    this.fail = fail;
    this.#input.addEventListener("input", () => this.#askSoon());
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    this.#input.addEventListener("click", () => this.#ask());
    this.#input.addEventListener("blur", () => this.close());
    // Keeps the focus, so that a click on an option is no blur first.
    this.#list.addEventListener("mousedown", (event) => event.preventDefault());
    this.#list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#take([...this.#list.children].indexOf(option));
    });
  }

  close() {
    clearTimeout(this.#timer);
    this.#asked.abort();
    this.#show([]);
  }

  #askSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), PAUSE_MS);
  }

  async #ask() {
    this.#asked.abort();
    this.#asked = new AbortController();
    const { signal } = this.#asked;
    try {
      const found = await search(this.#input.value, LIMIT, signal);
      if (!signal.aborted) this.#show(found, found.length === 0);
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error);
    }
  }

  #show(found, nothing = false) {
    this.#found = found;
    this.#list.replaceChildren(...found.map(option));
    this.#list.hidden = found.length === 0;
    this.#nothing.hidden = !nothing;
    this.#input.setAttribute("aria-expanded", String(found.length > 0));
    this.#activate(found.length && this.#input.value.trim() ? 0 : -1);
  }

  #activate(index) {
    this.#active = index;
    [...this.#list.children].forEach((each, place) =>
      each.setAttribute("aria-selected", String(place === index)));
    const active = this.#list.children[index];
    if (active) {
      this.#input.setAttribute("aria-activedescendant", active.id);
      active.scrollIntoView({ block: "nearest" });
    } else {
      this.#input.removeAttribute("aria-activedescendant");
    }
  }

  #key(event) {
    const count = this.#found.length;
    if (event.key === "ArrowDown" && !count) this.#ask();
    else if (event.key === "ArrowDown") this.#activate((this.#active + 1) % count);
    else if (event.key === "ArrowUp" && count) this.#activate((this.#active || count) - 1);
    else if (event.key === "Enter" && this.#active >= 0) this.#take(this.#active);
    else if (event.key === "Escape") this.#escape();
    else return;
    event.preventDefault();
  }

  #escape() {
    if (this.#list.hidden && this.#nothing.hidden) this.#input.value = "";
    this.close();
  }

  #take(index) {
    const taken = this.#found[index];
    this.#input.value = "";
    this.close();
    this.choose(taken);
  }
}

function option(found, index) {
  const element = document.createElement("li");
  element.id = `found-${index}`;
  element.role = "option";
  const title = document.createElement("span");
  title.textContent = found.title;
  element.append(title, tags(found));
  return element;
}
