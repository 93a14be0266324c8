// A list of recommendations on the page.

import { item } from "./api.js";
import { replace } from "./focus.js";

const MAX_TAGS = 3;
const template = document.getElementById("row");

/** Some values of an item's attributes; those that its title tells already are left out. */
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

function twin(other, rank) {
  const words = document.createElement("span");
  words.className = "unseen";
  words.textContent = `also the ${other}’s number `;
  return [words, String(rank)];
}

export class Ranking {
  #list;
  #name;
  #look;
  #add;

  /** `name` says whose list it is, `look(itemId | null)` is told where the reader is. */
  constructor(name, look, add) {
    this.#list = document.getElementById(name);
    this.#name = name;
    this.#look = look;
    this.#add = add;
  }

  show(items) {
    this.isBusy = false;
    replace(this.#list, items.map((each, index) => this.#row(each, index)));
  }

  /** Whether another list is under way. */
  set isBusy(isBusy) {
    this.#list.ariaBusy = String(isBusy);
  }

  /** Which history items drove each item: `because` maps an item id to words. */
  explain(because) {
    for (const row of this.#list.children) {
      row.querySelector(".row-because").textContent = because.get(row.dataset.itemId) ?? "";
      row.classList.toggle("explained", because.has(row.dataset.itemId));
    }
  }

  /** Tells of each item where the other list has it. */
  relate(other, items) {
    const ids = items.map((each) => each.item_id);
    for (const row of this.#list.children) {
      const rank = ids.indexOf(row.dataset.itemId) + 1;
      row.querySelector(".row-twin").replaceChildren(...(rank ? twin(other, rank) : []));
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
    this.#wireWhat(row, recommended, `${this.#name}-because-${index}`);
    const add = row.querySelector(".row-add");
    add.ariaLabel = `Add ${recommended.title} to the history`;
    add.title = "Add to the history";
    add.addEventListener("click", async () => this.#add(await item(recommended.item_id)));
    item(recommended.item_id).then((known) =>
      row.querySelector(".row-tags").replaceChildren(tags(known)), () => {});
    return row;
  }

  #wireWhat(row, recommended, becauseId) {
    const what = row.querySelector(".row-what");
    row.querySelector(".row-because").id = becauseId;
    what.setAttribute("aria-describedby", becauseId);
    for (const event of ["mouseenter", "focusin"]) {
      row.addEventListener(event, () => this.#look(recommended.item_id));
    }
    for (const event of ["mouseleave", "focusout"]) row.addEventListener(event, () => this.#look(null));
    // Safari does not focus what is tapped.
    what.addEventListener("click", () => what.focus());
  }
}
