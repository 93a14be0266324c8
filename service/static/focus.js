// Keeps the keyboard focus in a list whose elements are replaced.

/** Replaces the children of `list`; the focus moves to the new child at the same position. */
export function replace(list, children) {
  const focused = document.activeElement;
  const place = [...list.children].findIndex((each) => each.contains(focused));
  list.replaceChildren(...children);
  if (place < 0) return;
  const successor = children[Math.min(place, children.length - 1)];
  (successor?.querySelector(`.${focused.className}`) ?? document.getElementById("query")).focus();
}
