// Where the focus goes when what holds it is shown anew.

/** Replaces the children of `list`; the focus passes to what stands in the same place. */
export function replace(list, children) {
  const focused = document.activeElement;
  const place = [...list.children].findIndex((each) => each.contains(focused));
  list.replaceChildren(...children);
  if (place < 0) return;
  const successor = children[Math.min(place, children.length - 1)];
  (successor?.querySelector(`.${focused.className}`) ?? document.getElementById("query")).focus();
}
