// Reasons for a recommendation: how far its score would fall without an item of the history.

const MAX_NAMED = 2;

/** Returns each history item's share of the sum of score drops in `reasons`, in [0, 1]. */
export function sharesOf(reasons, history) {
  const drops = new Map(reasons.map(({ item_id: id, score_drop: drop }) => [id, drop]));
  const total = [...drops.values()].reduce((sum, drop) => sum + drop, 0);
  return history.map(({ item_id: id }) => (drops.get(id) ?? 0) / (total || 1));
}

/** Names the items with the largest shares as text; empty if no share is above 0. */
export function reasonText(shares, history) {
  const places = shares.map((share, place) => ({ share, place })).filter(({ share }) => share > 0);
  places.sort((one, other) => other.share - one.share);
  const named = places.slice(0, MAX_NAMED).map(({ place }) => history[place].title);
  return named.length ? `because of ${named.join(" and ")}` : "";
}
