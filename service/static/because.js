// Why an item is recommended: how much it would lose without each item of the history.

const MAX_NAMED = 2;

/** The share of each place of `history` in the `reasons` of an item. */
export function sharesOf(reasons, history) {
  const drops = new Map(reasons.map(({ item_id: id, score_drop: drop }) => [id, drop]));
  const total = [...drops.values()].reduce((sum, drop) => sum + drop, 0);
  return history.map(({ item_id: id }) => (drops.get(id) ?? 0) / (total || 1));
}

/** The items that drove it most, in words. */
export function wordsOf(shares, history) {
  const places = shares.map((share, place) => ({ share, place })).filter(({ share }) => share > 0);
  places.sort((one, other) => other.share - one.share);
  const named = places.slice(0, MAX_NAMED).map(({ place }) => history[place].title);
  return named.length ? `because of ${named.join(" and ")}` : "";
}
