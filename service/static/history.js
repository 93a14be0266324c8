// The history on the page: the items that the visitor chose, oldest first.

import { replace } from "./focus.js";

const template = document.getElementById("chip");

export class History {
  #list = document.getElementById("history");
  #remove;

  /** `remove` is called with the item that the visitor removes. */
  constructor(remove) {
    this.#remove = remove;
  }

  show(items) {
    replace(this.#list, items.map((each) => this.#chip(each)));
  }

  /** Marks each item by its share in a recommendation; without `shares`, removes the marks. */
  showShares(shares) {
    [...this.#list.children].forEach((chip, index) => {
      chip.style.setProperty("--share", shares?.[index] ?? 0);
      chip.classList.toggle("drove", (shares?.[index] ?? 0) > 0);
    });
  }

  #chip(item) {
    const chip = template.content.cloneNode(true).firstElementChild;
    chip.querySelector(".chip-title").textContent = item.title;
    const remove = chip.querySelector(".chip-remove");
    remove.ariaLabel = `Remove ${item.title} from the history`;
    remove.addEventListener("click", () => this.#remove(item));
    return chip;
  }
}
