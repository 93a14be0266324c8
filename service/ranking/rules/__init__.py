"""Applies the rules of a query: candidates, boosts, pins, limits by value, diversity, lowest score.

The rules decide which `k` items a list has, so they are applied before the best `k` are taken. They
are applied in this order:

1. Candidates, filters and exclusions decide which items may be recommended. Seen items are left
   out, unless no other item is left.
2. Pins take their places in the list. A pinned item must pass the filters and exclusions and be a
   candidate. It may be seen, and the rules below do not apply to it.
3. Boosts are added to the scores of the other items.
4. Items with a score below the lowest allowed score are left out.
5. Limits by value and diversity choose among the rest, best first. Pinned items count for both.

`Selector.select` applies the rules. The recommender gives it a `Scorer` for the student, or for the
fallback that answers.
"""
