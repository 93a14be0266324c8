// A list of recommendations on the page.

import { item } from "./api.js";
import { replace } from "./focus.js";

const MAX_TAGS = 3;
const template = document.getElementById("row");

/** Returns an element with some attribute values of an item, without those that its title contains. */
export function tags({ title, attributes }) {
  const element = document.createElement("span");
  element.className = "tags";
  const values = Object.values(attributes).flat().filter((value) => !title.includes(value));
  for (const value of values.slice(0, MAX_TAGS)) {
    const tag = document.createElement("span");
    tag.textContent = value;
    element.append(tag);
  }
  return element;
}

function otherRank(other, rank) {
  const words = document.createElement("span");
  words.className = "unseen";
  words.textContent = `also the ${other}’s number `;
  return [words, String(rank)];
}

export class Ranking {
  #list;
  #name;
  #lookAt;
  #add;

  /**
   * `name` is the id of the list's element. `lookAt` is called with the id of the item that the
   * visitor points at, or with null when no item is pointed at any more. `add` is called with an
   * item to add to the history.
   */
  constructor(name, lookAt, add) {
    this.#list = document.getElementById(name);
    this.#name = name;
    this.#lookAt = lookAt;
    this.#add = add;
  }

  show(items) {
    this.isBusy = false;
    replace(this.#list, items.map((each, index) => this.#row(each, index)));
  }

  /** Whether a new list is being loaded. */
  set isBusy(isBusy) {
    this.#list.ariaBusy = String(isBusy);
  }

  /** Shows the reason for each item; `because` maps item ids to texts. */
  explain(because) {
    for (const row of this.#list.children) {
      row.querySelector(".row-because").textContent = because.get(row.dataset.itemId) ?? "";
      row.classList.toggle("explained", because.has(row.dataset.itemId));
    }
  }

  /** Shows for each item its rank in the other list: `items`, of the ranker named `other`. */
  showRanksIn(other, items) {
    const ids = items.map((each) => each.item_id);
    for (const row of this.#list.children) {
      const rank = ids.indexOf(row.dataset.itemId) + 1;
      row.querySelector(".row-twin").replaceChildren(...(rank ? otherRank(other, rank) : []));
    }
  }

  highlight(itemId) {
    for (const row of this.#list.children) {
      row.classList.toggle("looked-at", row.dataset.itemId === itemId);
    }
  }

  #row(recommended, index) {
    const row = template.content.cloneNode(true).firstElementChild;
    row.dataset.itemId = recommended.item_id;
    row.querySelector(".row-title").textContent = recommended.title;
    this.#listenTo(row, recommended, `${this.#name}-because-${index}`);
    const add = row.querySelector(".row-add");
    add.ariaLabel = `Add ${recommended.title} to the history`;
    add.title = "Add to the history";
    add.addEventListener("click", async () => this.#add(await item(recommended.item_id)));
    item(recommended.item_id).then((known) =>
      row.querySelector(".row-tags").replaceChildren(tags(known)), () => {});
    return row;
  }

  #listenTo(row, recommended, becauseId) {
    const what = row.querySelector(".row-what");
    row.querySelector(".row-because").id = becauseId;
    what.setAttribute("aria-describedby", becauseId);
    for (const event of ["mouseenter", "focusin"]) {
      row.addEventListener(event, () => this.#lookAt(recommended.item_id));
    }
    for (const event of ["mouseleave", "focusout"]) row.addEventListener(event, () => this.#lookAt(null));
    // Focused here, because Safari does not focus a button that is tapped.
    what.addEventListener("click", () => what.focus());
  }
}
