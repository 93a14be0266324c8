"""Checks whether two bundles recommend the same items with the same scores.

python -m export.compare BUNDLE OTHER_BUNDLE

Each bundle ranks items after the real histories of both bundles and after random histories. It does
so twice per history: as for a request, and with the ranking graph only. The exit code is 0 if the
bundles agree, 1 if they differ, and 2 if they cannot be compared.
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
    float, Parameter(help="Largest difference of scores that counts as equal.", show_default=True)
]


@dataclass(frozen=True)
class Agreement:
    """The result of comparing two bundles.

    Attributes:
        num_histories: number of histories after which both bundles ranked items.
        num_differing: number of histories after which the two top lists differ in an item or in
            the order.
        max_difference: largest absolute difference between the two bundles' scores of an item;
            infinite if a score is not a number.
    """

    num_histories: int
    num_differing: int
    max_difference: float

    def holds(self, tolerance: float = MAX_DIFFERENCE) -> bool:
        """Returns whether all top lists are equal and no score differs by more than `tolerance`."""
        return self.num_differing == 0 and self.max_difference <= tolerance

    def __str__(self) -> str:
        differing = self.num_differing
        items = f"different items after {differing:,} of them" if differing else "the same items"
        return (
            f"{self.num_histories:,} histories: {items}, "
            f"scores differ by at most {self.max_difference:.1e}"
        )


def compare_bundles(
    one: Bundle, other: Bundle, *, num_random: int = NUM_RANDOM, seed: int = 0
) -> Agreement:
    """Ranks items with both bundles after real and random histories; compares the top lists.

    A top list has `LIST_LENGTH` items. The real histories are those that both bundles store.

    Args:
        one: the first bundle, whose catalog the random histories are drawn from.
        other: the second bundle.
        num_random: number of random histories.
        seed: random seed that decides the random histories.

    Raises:
        BundleError: the bundles do not hold the same items in the same order.
    """
    if [each.item_id for each in one.items] != [each.item_id for each in other.items]:
        raise BundleError(
            f"{one.folder} and {other.folder}: items.jsonl differs; only bundles with the same "
            "items in the same order can be compared"
        )
    rankers = all_rankings(one), all_rankings(other)
    histories = [
        *_real_histories(one),
        *_real_histories(other),
        *_random_histories(one, num_random, seed),
    ]
    num_differing, max_difference = 0, 0.0
    with ProgressBar("comparing", len(histories), "history") as bar:
        for history in histories:
            pairs = list(zip(*(rank(history, LIST_LENGTH) for rank in rankers), strict=True))
            num_differing += any(_items(ours) != _items(theirs) for ours, theirs in pairs)
            max_difference = max(max_difference, *(_difference(*pair) for pair in pairs))
            bar.advance()
    return Agreement(len(histories), num_differing, max_difference)


def command(one: BundlePath, other: BundlePath, /, *, tolerance: Tolerance = MAX_DIFFERENCE) -> int:
    """Compare the items and scores that two bundles recommend."""
    agreement = compare_bundles(load_bundle(one), load_bundle(other))
    say(str(agreement))
    return AGREES if agreement.holds(tolerance) else DIFFERS


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments`, by default those of the process; returns the exit code."""
    app = new_app("python -m export.compare")
    app.default(command)
    return execute(app, arguments, errors=(BundleError,))


def _real_histories(bundle: Bundle) -> Iterator[History]:
    """Yields the bundle's histories as item indices; ids that it has no item for are left out."""
    index_of = {item.item_id: index for index, item in enumerate(bundle.items, start=1)}
    for history in bundle.histories:
        if known := [index_of[item_id] for item_id in history if item_id in index_of]:
            yield known


def _random_histories(bundle: Bundle, count: int, seed: int) -> Iterator[History]:
    """Yields `count` random histories, as item indices.

    Their lengths are drawn uniformly from 1 to twice the `max_history_length` of `bundle`, and
    their items uniformly from its catalog.
    """
    generator = np.random.default_rng(seed)
    for _ in range(count):
        length = generator.integers(1, 2 * bundle.manifest.max_history_length + 1)
        yield generator.integers(1, len(bundle.items) + 1, length).tolist()


def _items(ranking: Ranking) -> list[int]:
    return [item_index for item_index, _ in ranking]


def _difference(ours: Ranking, theirs: Ranking) -> float:
    """Returns the largest absolute difference between an item's scores in the two rankings.

    Items that are in only one ranking are left out. The result is 0 if the rankings share no item,
    and infinity if a score is not a number.
    """
    other_scores = dict(theirs)
    differences = [abs(score - other_scores[item]) for item, score in ours if item in other_scores]
    return float(np.nan_to_num(differences, nan=np.inf, posinf=np.inf).max(initial=0.0))


if __name__ == "__main__":
    sys.exit(main())
