"""Compares two bundles: whether they recommend the same items with the same scores.

python -m export.compare BUNDLE OTHER_BUNDLE

Both rank after the real histories of both and after random ones, as requests are answered and by
the ranking graph. Exit code 0 if they agree, 1 if they differ, 2 if they cannot be compared.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from export.contract.bundle import Bundle, BundleError, load_bundle
from export.served_figures import Ranking, all_rankings
from training.cli import execute, new_app, say
from training.progress import ProgressBar

NUM_RANDOM = 1_000
LIST_LENGTH = 20
MAX_DIFFERENCE = 1e-6
AGREES, DIFFERS = 0, 1

History = list[int]

BundlePath = Annotated[Path, Parameter(help="Folder of a bundle.")]
Tolerance = Annotated[
    float, Parameter(help="Difference of scores that still agrees.", show_default=True)
]


@dataclass(frozen=True)
class Agreement:
    """How far two bundles agree.

    Attributes:
        num_histories: how many were ranked after.
        num_other_items: after how many the lists of items differ, order included.
        max_difference: largest difference of two scores of one item.
    """

    num_histories: int
    num_other_items: int
    max_difference: float

    def holds(self, tolerance: float = MAX_DIFFERENCE) -> bool:
        """Whether all items are the same, and all scores within `tolerance`."""
        return self.num_other_items == 0 and self.max_difference <= tolerance

    def __str__(self) -> str:
        others = self.num_other_items
        items = f"other items after {others:,} of them" if others else "the same items"
        return (
            f"{self.num_histories:,} histories: {items}, "
            f"scores differ by at most {self.max_difference:.1e}"
        )


def compare_bundles(
    one: Bundle, other: Bundle, *, num_random: int = NUM_RANDOM, seed: int = 0
) -> Agreement:
    """Ranks the best items after each history with both bundles.

    Raises:
        BundleError: they do not have the same items in the same order.
    """
    if [each.item_id for each in one.items] != [each.item_id for each in other.items]:
        raise BundleError(f"{one.folder} and {other.folder} have different items or another order")
    rankers = all_rankings(one), all_rankings(other)
    histories = [
        *_real_histories(one),
        *_real_histories(other),
        *_random_histories(one, num_random, seed),
    ]
    num_other_items, max_difference = 0, 0.0
    with ProgressBar("comparing", len(histories), "history") as bar:
        for history in histories:
            pairs = list(zip(*(rank(history, LIST_LENGTH) for rank in rankers), strict=True))
            num_other_items += any(_items(ours) != _items(theirs) for ours, theirs in pairs)
            max_difference = max(max_difference, *(_difference(*pair) for pair in pairs))
            bar.advance()
    return Agreement(len(histories), num_other_items, max_difference)


def command(one: BundlePath, other: BundlePath, /, *, tolerance: Tolerance = MAX_DIFFERENCE) -> int:
    """Compare the items and scores that two bundles recommend."""
    agreement = compare_bundles(load_bundle(one), load_bundle(other))
    say(str(agreement))
    return AGREES if agreement.holds(tolerance) else DIFFERS


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    app = new_app("python -m export.compare")
    app.default(command)
    return execute(app, arguments, errors=(BundleError,))


def _real_histories(bundle: Bundle) -> Iterator[History]:
    index_of = {item.item_id: index for index, item in enumerate(bundle.items, start=1)}
    for history in bundle.histories:
        yield [index_of[item_id] for item_id in history]


def _random_histories(bundle: Bundle, count: int, seed: int) -> Iterator[History]:
    """Yields histories of up to twice the window, each item as likely as any other."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        length = generator.integers(1, 2 * bundle.manifest.max_history_length + 1)
        yield generator.integers(1, len(bundle.items) + 1, length).tolist()


def _items(ranking: Ranking) -> list[int]:
    return [item_index for item_index, _ in ranking]


def _difference(ours: Ranking, theirs: Ranking) -> float:
    """Largest difference of two scores of one item; not a number counts as infinite."""
    other_scores = dict(theirs)
    differences = [abs(score - other_scores[item]) for item, score in ours if item in other_scores]
    return float(np.nan_to_num(differences, nan=np.inf, posinf=np.inf).max(initial=0.0))


if __name__ == "__main__":
    sys.exit(main())
