"""Adds a student's pair bonus to its ONNX graphs.

The formula is in `training/students/pair_bonus.py`. A graph sums the weights of the pairs of the
window's items first, for all items. Then it computes logarithms, only where scores are read.

The sums are in the order of the item table, or in that of the codes where a search has codes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

import numpy as np
from numpy.typing import NDArray

from training.students.pair_bonus import PairBonus

# Reads `pair_window`, the rows of the window's items, `[batch, width]`, 0 for padding and added
# items. Computes `pair_sums`, `[batch, places]`, and `touched`, the places with a pair, which may
# occur several times. The names of inner values are stored in the bundle's file: do not change
# them.
PAIR_SUMS = """
    touched_by_item = Gather(places_of_pairs, pair_window)
    weights_by_item = Gather(weights_of_pairs, pair_window)
    pair_width = Shape<start = 1, end = 2>(pair_window)
    newest_decays = Neg(pair_width)
    window_decays = Slice(decays_of_pairs, newest_decays, past_last, pair_axis)
    decayed_weights = Mul(weights_by_item, window_decays)
    touched = Flatten(touched_by_item)
    touched_weights = Flatten(decayed_weights)
    num_windows = Shape<start = 0, end = 1>(pair_window)
    shape_of_sums = Concat<axis = 0>(num_windows, num_pair_places)
    no_sums = Expand(no_pair, shape_of_sums)
    pair_sums = ScatterElements<axis = 1, reduction = "add">(no_sums, touched, touched_weights)
"""
# Names the rows of the items whose pairs are read `$name`: all `$rows` of the window, or those of
# its newest items.
ROWS_OF_ALL = Template("$name = Identity($rows)")
ROWS_OF_NEWEST = Template("$name = Slice($rows, first_with_pairs, past_last, items_axis)")
# Makes `$sums` of pairs, which start at 0, start at 1, and names them `${raised}_counted`.
COUNTED = Template("${raised}_counted = Add($sums, one_pair)")
# Adds the bonus to `$scores`, whose sums of pairs are `$sums`, which start at 1; names the result
# `$raised`.
ADD_BONUS = Template("""
    ${raised}_logarithms = Log($sums)
    ${raised}_bonus = Mul(${raised}_logarithms, pair_strength)
    $raised = Add($scores, ${raised}_bonus)
""")
# Adds the bonus, in whole steps, to the rough scores of the places with a pair. Reads
# `rough_without_pairs`, `step`, the size of a step, and sums that start at 1.
ROUGH_WITH_PAIRS = """
    sums_of_touched = GatherElements<axis = 1>(pair_sums, touched)
    logarithms_of_touched = Log(sums_of_touched)
    strength_in_steps = Div(pair_strength, step)
    bonus_in_steps = Mul(logarithms_of_touched, strength_in_steps)
    bonus_steps = Cast<to = 6>(bonus_in_steps)
    rough_of_touched = GatherElements<axis = 1>(rough_without_pairs, touched)
    raised_of_touched = Add(rough_of_touched, bonus_steps)
    rough = ScatterElements<axis = 1>(rough_without_pairs, touched, raised_of_touched)
"""
# Added to the steps that rounding may lose: `Cast` loses less than one of the bonus. Errors of
# float32 in it take less than another, where it has fewer than some millions of steps.
LOST_OF_BONUS = 2.0
# Largest change of a score by the items of a window whose pairs a graph does not read. Another
# processor changes scores by about as much.
LEAST_BONUS = 1e-5


@dataclass(frozen=True)
class PairTable:
    """The tensors of a pair bonus as arrays; `PairBonus` defines them.

    Attributes:
        items: `[rows, pairs]`, int32; a row has an item at most once, but for 0.
        weights: `[rows, pairs]`.
        decay: factor between the weights of an item of the window and the one after it.
        strength: factor of the logarithm.
    """

    items: NDArray[np.int32]
    weights: NDArray[np.float32]
    decay: float
    strength: float

    @classmethod
    def of(cls, bonus: PairBonus | None) -> "PairTable | None":
        """Returns the tensors of `bonus`; None if there is none."""
        if bonus is None:
            return None
        items, weights = bonus.items.cpu().numpy(), bonus.weights.cpu().numpy()
        return cls(items, weights, float(bonus.decay), float(bonus.strength))

    def num_read(self, longest: int) -> int:
        """Returns the number of newest items of a window whose pairs a graph reads.

        The pairs of all older items together change a score by at most `LEAST_BONUS`: the logarithm
        of 1 + x grows by no more than x does.

        Args:
            longest: maximum number of items in a window.
        """
        heaviest = float(self.weights.max(initial=0))
        of_age = self.strength * heaviest * self.decay ** np.arange(longest)
        from_age = np.cumsum(of_age[::-1])[::-1]
        return max(1, int(np.count_nonzero(from_age > LEAST_BONUS)))

    def rows_text(self, rows: str, name: str, longest: int) -> str:
        """Returns the text that names the rows of a window's items whose pairs change a score.

        Args:
            rows: name of the rows of all its items.
            name: name to give.
            longest: maximum number of items in a window.
        """
        text = ROWS_OF_ALL if self.num_read(longest) == longest else ROWS_OF_NEWEST
        return text.substitute(rows=rows, name=name)

    def constants(
        self, longest: int, place_of_row: NDArray[np.int64] | None = None
    ) -> Mapping[str, NDArray[np.generic]]:
        """Returns the constants that the texts of this module read, by name.

        Args:
            longest: maximum number of items in a window.
            place_of_row: `[rows]`, place of each row of the item table among the codes, for sums in
                that order, which start at 1; None: the sums are in the order of the table, and
                start at 0.
        """
        places = self.items if place_of_row is None else place_of_row[self.items].astype(np.int32)
        read = self.num_read(longest)
        ages = np.arange(read - 1, -1, -1, dtype=np.float32)
        first = {"first_with_pairs": np.array([-read])} if read < longest else {}
        one = {"one_pair": np.array(1, dtype=np.float32)} if place_of_row is None else {}
        return {
            **first,
            **one,
            "places_of_pairs": places,
            "weights_of_pairs": self.weights,
            "decays_of_pairs": (np.float32(self.decay) ** ages)[:, None],
            "pair_axis": np.array([0]),
            # The last place has no code; with it, sums have the shape of what may be recommended.
            "num_pair_places": np.array([len(self.items)]),
            "no_pair": np.array([[place_of_row is not None]], dtype=np.float32),
            "pair_strength": np.array(self.strength, dtype=np.float32),
        }


def with_bonus(scores: str, sums: str, raised: str, *, is_counted: bool = False) -> str:
    """Returns the text that adds the bonus to `scores` and names the result `raised`.

    Args:
        scores: name of the scores.
        sums: name of the sums of pairs of the scored items, of the shape of `scores`.
        raised: name to give.
        is_counted: whether the sums start at 1.
    """
    if is_counted:
        return ADD_BONUS.substitute(scores=scores, sums=sums, raised=raised)
    counted = COUNTED.substitute(sums=sums, raised=raised)
    return counted + ADD_BONUS.substitute(scores=scores, sums=f"{raised}_counted", raised=raised)
