"""The rule by which items are popular or trending: a score for each item from its events.

Popular items have the score log(1 + n), where n is the number of their events in the window.

Trending items have the score log(growth). The traffic of two windows differs, since more people
come by day than by night, and since the running period is not over. So the events of the busier
window are scaled down to the traffic of the quieter one:

    growth = (n · min(1, B / A) + D) / (b · min(1, A / B) + D)

Here n and b are the item's events in the window and in the window before, A and B the events of all
items in these windows, and D is DAMPING. So an item grows if its share of the events grows. An item
with few events grows little: without damping, two events after one would beat 90 after 50. An item
without events in either window has the score 0, and one that fewer people want has a lower one.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["popular", "trending"]

DAMPING = 10
"""Number of events that are added to both windows: ten more after none double an item's growth."""


def scores_of(
    order: Order,
    now: NDArray[np.int64],
    before: NDArray[np.int64],
    all_now: int,
    all_before: int,
) -> NDArray[np.float64]:
    """Returns the score of each item, `[items]`.

    Args:
        order: the rule.
        now: `[items]`, events in the window.
        before: `[items]`, events in the window before.
        all_now: events of all items in the window.
        all_before: events of all items in the window before.
    """
    if order == "popular":
        return np.log1p(now).astype(np.float64)
    # The formula above, times the events of the busier window: then equal shares grow by exactly 1,
    # since no share is rounded.
    damping = DAMPING * max(all_now, all_before, 1)
    growth = (now * float(all_before) + damping) / (before * float(all_now) + damping)
    return np.log(growth).astype(np.float64)
