"""Finds items that the champion serves and a challenger would not, though the shop still has them.

A model of clicks knows only the items of its dataset, and `data.min_interactions` can leave most of
a catalog out. The contest does not see the loss, since no example of the newest slice names a lost
item. A service answers 404 for a lost item.
"""

from collections.abc import Sequence

from export.contract.bundle import Bundle
from training.data.catalog import Catalog
from training.settings.experiment import Experiment

_SHOWN_ITEMS = 3  # maximum number of lost items that a reason names


def lost_items(champion: Bundle, table: Catalog, dataset: Catalog) -> Sequence[str]:
    """Returns the ids of the champion's items that `dataset` lacks, in the champion's order.

    `dataset` is the catalog of the challenger's dataset, and `table` the shop's table of items.
    Items that `table` lacks are left out: the shop has removed them.
    """
    known, still_sold = dataset.index_by_id, table.index_by_id
    served = [item.item_id for item in champion.items]
    return [each for each in served if each in still_sold and each not in known]


def reason_to_refuse(lost: Sequence[str], champion: Bundle, experiment: Experiment) -> str:
    """Returns the sentence that says which items the challenger would lack, and what to do.

    Args:
        lost: ids of the lost items, as `lost_items` returns them.
        champion: the bundle that serves them.
        experiment: settings of the challenger.
    """
    shown = ", ".join(map(repr, lost[:_SHOWN_ITEMS]))
    return (
        f"the challenger would lack {len(lost):,} of the {len(champion.items):,} items that the "
        f"champion serves, though {experiment.data.items} has them: "
        f"{shown}{', …' if len(lost) > _SHOWN_ITEMS else ''}; "
        f"data.min_interactions = {experiment.data.min_interactions} leaves them out: set it to 1, "
        "or accept the loss with retrain.may_lose_items = true"
    )
