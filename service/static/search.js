// The search box: a combobox as in the WAI-ARIA pattern.

import { search } from "./api.js";
import { tags } from "./ranking.js";

const LIMIT = 8;
const DEBOUNCE_MS = 120;

export class SearchBox {
  #input = document.getElementById("query");
  #list = document.getElementById("found");
  #noneFound = document.getElementById("nothing-found");
  #found = [];
  #active = -1;
  #timer = null;
  #pending = new AbortController();

  /** `choose` is called with the chosen item, `fail` with an error. */
  constructor(choose, fail) {
    this.choose = choose;
    this.fail = fail;
    this.#input.addEventListener("input", () => this.#searchSoon());
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    this.#input.addEventListener("click", () => this.#search());
    this.#input.addEventListener("blur", () => this.close());
    // Without this, a click on an option would first blur the input, which closes the list.
    this.#list.addEventListener("mousedown", (event) => event.preventDefault());
    this.#list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#take([...this.#list.children].indexOf(option));
    });
  }

  close() {
    clearTimeout(this.#timer);
    this.#pending.abort();
    this.#show([]);
  }

  #searchSoon() {
    clearTimeout(this.#timer);
    // Enter must not take an item that was found for other words.
    this.#pending.abort();
    this.#activate(-1);
    this.#timer = setTimeout(() => this.#search(), DEBOUNCE_MS);
  }

  async #search() {
    this.#pending.abort();
    this.#pending = new AbortController();
    const { signal } = this.#pending;
    try {
      const found = await search(this.#input.value, LIMIT, signal);
      if (!signal.aborted) this.#show(found, found.length === 0);
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error);
    }
  }

  #show(found, noneFound = false) {
    this.#found = found;
    this.#list.replaceChildren(...found.map(option));
    this.#list.hidden = found.length === 0;
    this.#noneFound.hidden = !noneFound;
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
    if (event.key === "ArrowDown" && !count) this.#search();
    else if (event.key === "ArrowDown") this.#activate((this.#active + 1) % count);
    else if (event.key === "ArrowUp" && count) this.#activate((this.#active || count) - 1);
    else if (event.key === "Enter" && this.#active >= 0) this.#take(this.#active);
    else if (event.key === "Escape") this.#escape();
    else return;
    event.preventDefault();
  }

  #escape() {
    if (this.#list.hidden && this.#noneFound.hidden) this.#input.value = "";
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
