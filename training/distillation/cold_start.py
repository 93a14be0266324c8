"""Cold items: what one that nobody has touched yet has in place of an offset.

Its title alone says too little of it to reach the heights where trained items compete, so without
more it is hardly ever shown. It gets the offsets of the titles next to its own, all of this shrunk,
as is due to a guess, and one offset that all cold items share. Next to it stand only items that
were still asked for when training ended: what is new will be wanted by those who are there now, and
an old title's offset says who was there once. And a title says other things of a new item than of
an old one: a second projection, of cold items alone, says what. It and the shared offset are
learned from validation, through the frozen student. As cold items have both where they are read,
too, a history that holds some of them asks for more of them. How far all of it goes, a price
decides: the share of warm NDCG@20 that it may cost. What it costs is told from users who did not
teach it: half of them teach, the others judge, and the other way round. What stays is the mean of
both.

It is as good as the catalog is honest. Where an item stands in the catalog only because somebody
will take it, every cold one looks promising.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.compute.device import making_on
from training.data.dataset import Dataset, Split
from training.data.histories import pad_histories
from training.distillation.batches import TrainingWindows
from training.evaluation.yardstick import SELECTION_METRIC, Evaluation, evaluate, ranker_of
from training.students.scorer import StudentScorer
from training.students.student import NUM_NEIGHBOURS, Student

# What may be added to the scores of cold items, on average over them and queries: first these,
# then what lies around the best of them, as the price is seldom met by steps of a half.
BONUSES = tuple(number / 2 for number in range(-4, 5))
AROUND = tuple(number / 16 for number in range(-7, 8) if number)
MOST_QUERIES = 2_048
RIDGE = 1e-4  # of the mean square of a query, against directions that queries hardly have
# Few steps: after more, histories of the weeks after validation are read less well. Small ones of
# the projection: after larger ones it knows the items that taught it, and others less well.
STEPS, BATCH_SIZE, LEARNING_RATE, PROJECTION_RATE = 15, 512, 0.04, 0.002
SEED = 0  # of the order in which validation examples teach
LAST_ROWS, MIN_HOLDERS = 2, 2

Rows = NDArray[np.int64]


def untouched_items(dataset: Dataset, windows: TrainingWindows) -> Tensor:
    """`[items]`, which are neither read nor predicted in training."""
    touched = np.zeros(dataset.catalog.num_rows, dtype=np.bool_)
    touched[dataset.item_indices[windows.readable]] = True
    touched[dataset.item_indices[windows.predicted]] = True
    return torch.from_numpy(~touched[1:])


def current_items(dataset: Dataset) -> Tensor:
    """`[items]`, those that at least `MIN_HOLDERS` of the last rows before validation hold.

    Of each user who has validation examples, the last `LAST_ROWS` before the first of them count.
    """
    rows = dataset.example_rows(Split.VALIDATION)
    firsts = rows[np.unique(dataset.user_of_row[rows], return_index=True)[1]]
    back = np.arange(1, LAST_ROWS + 1)
    last = (firsts[:, None] - back)[dataset.position_of_row[firsts][:, None] >= back]
    taken = last[np.isin(dataset.splits[last], (Split.TRAIN, Split.HISTORY))]
    holders = np.bincount(dataset.item_indices[taken], minlength=dataset.catalog.num_rows)
    return torch.from_numpy(holders[1:] >= MIN_HOLDERS)


def lenders_to(untouched: Tensor, dataset: Dataset) -> Tensor:
    """`[items]`, which are touched and current; all touched ones where those are too few."""
    untouched = untouched.cpu()
    lenders = current_items(dataset) & ~untouched
    return lenders if lenders.sum() >= NUM_NEIGHBOURS else ~untouched


@dataclass(frozen=True)
class BonusOutcome:
    """What the student reaches on examples that did not teach what they are ranked with.

    Attributes:
        bonus: what their place adds to their scores on average; None where they are left as
            they are.
        every: NDCG@20 of all targets.
        warm: NDCG@20 of warm targets.
    """

    bonus: float | None
    every: float
    warm: float


@dataclass(frozen=True)
class ColdReading:
    """What some examples teach of cold items.

    Attributes:
        projection: `[hidden, columns]`, what a title says of cold items beside `g`.
        offset: `[hidden]`, what they share. With what `projection` says of each it adds nothing to
            their scores, on average over them and some of those examples.
        direction: `[hidden]`; adds about 1.
    """

    projection: Tensor
    offset: Tensor
    direction: Tensor

    def adding(self, bonus: float) -> Tensor:
        """The offset `[hidden]` with which, beside `projection`, `bonus` is added on average."""
        return self.offset + bonus * self.direction


def place_cold_items(
    student: Student, dataset: Dataset, untouched: Tensor, price: float
) -> float | None:
    """Gives `untouched` items the best place that costs no more than `price`.

    The price is kept by what the two halves teach, each on the other; of their mean, which stays,
    no example is left that could tell.

    Args:
        student: trained, with LLM embeddings.
        dataset: its validation examples teach what is said of cold items and choose the bonus.
        untouched: `[items]`, see `untouched_items`.
        price: share of warm NDCG@20 that may be lost.

    Returns:
        The bonus that was chosen; None where cold items are best left as they are, or where
        validation has too few users or hits no warm item, so that nothing can be said.
    """
    halves = two_halves(dataset)
    if not all(len(each) for each in halves):
        return None
    table, lenders = student.item_table, lenders_to(untouched, dataset)
    left = table.offsets.detach().clone()
    before = outcome(None, [_ranked(student, dataset, half) for half in halves], dataset, untouched)
    taught = [cold_reading(student, dataset, half, untouched, lenders) for half in halves]
    bonus = chosen_bonus(before, partial(_tried, student, dataset, untouched, taught), price)
    if bonus is None:
        table.forget_cold_items(left)
        return None
    offset = torch.stack([each.adding(bonus) for each in taught]).mean(dim=0)
    projection = torch.stack([each.projection for each in taught]).mean(dim=0)
    table.place_cold_items(untouched, lenders, offset, projection)
    return bonus


def chosen_bonus(
    before: BonusOutcome, tried: Callable[[float], BonusOutcome], price: float
) -> float | None:
    """The best of `BONUSES` and of those around it; None where none of the former is worth it."""
    known = [before, *map(tried, BONUSES)]
    about = best_bonus(known, price)
    if about is None:
        return None
    return best_bonus([*known, *(tried(about + each) for each in AROUND)], price)


def _tried(
    student: Student, dataset: Dataset, untouched: Tensor, taught: list[ColdReading], bonus: float
) -> BonusOutcome:
    """What `student` reaches on each half of the examples with what the other one taught."""
    table, lenders = student.item_table, lenders_to(untouched, dataset)
    found = []
    for reading, others in zip(taught, reversed(two_halves(dataset)), strict=True):
        table.place_cold_items(untouched, lenders, reading.adding(bonus), reading.projection)
        found.append(_ranked(student, dataset, others))
    return outcome(bonus, found, dataset, untouched)


def outcome(
    bonus: float | None, found: list[Evaluation], dataset: Dataset, untouched: Tensor
) -> BonusOutcome:
    """What was `found` on parts of the examples, as one."""
    rows = np.concatenate([each.rows for each in found])
    ranks = np.concatenate([each.ranks for each in found])
    is_warm = ~untouched.cpu().numpy()[dataset.item_indices[rows] - 1]
    warm = Evaluation(rows[is_warm], ranks[is_warm]).metrics if is_warm.any() else {}
    every = Evaluation(rows, ranks).metrics
    return BonusOutcome(bonus, every[SELECTION_METRIC], warm.get(SELECTION_METRIC, 0.0))


def best_bonus(judged: list[BonusOutcome], price: float) -> float | None:
    """That of the best, the earliest of equals, with enough of the warm NDCG@20 of `judged[0]`."""
    if judged[0].warm == 0:
        return None  # what a place costs cannot be told
    due = (1 - price) * judged[0].warm
    return max((each for each in judged if each.warm >= due), key=lambda each: each.every).bonus


def cold_reading(
    student: Student, dataset: Dataset, rows: Rows, untouched: Tensor, lenders: Tensor
) -> ColdReading:
    """What the examples `rows` teach; `student` is left with cold items that share nothing."""
    table = student.item_table
    columns = table.columns_of(untouched)
    nothing = columns.new_zeros(len(table.cold_offset), columns.shape[1])
    table.place_cold_items(untouched, lenders, torch.zeros_like(table.cold_offset), nothing)
    queries = _queries(student, dataset, rows[:: len(rows) // MOST_QUERIES + 1])
    direction = common_direction(queries)
    start = ColdReading(nothing, direction, direction)
    learned = learned_reading(student, dataset, rows, untouched, start)
    usual = learned.offset + learned.projection @ columns.mean(dim=0)
    added = float((queries @ usual).mean())
    return ColdReading(learned.projection, learned.offset - added * direction, direction)


def common_direction(queries: Tensor) -> Tensor:
    """The vector whose product with each of `queries` `[queries, hidden]` is nearest to 1."""
    exact = queries.double()
    square = exact.T @ exact / len(exact)
    square.diagonal().add_(RIDGE * square.diagonal().mean())
    direction: Tensor = torch.linalg.solve(square, exact.mean(dim=0))
    return direction.float()


def learned_reading(
    student: Student, dataset: Dataset, rows: Rows, untouched: Tensor, start: ColdReading
) -> ColdReading:
    """The projection and offset with which the student tells best which items come next.

    Full-softmax cross-entropy on the examples `rows`, by a few steps of Adam from `start` on. The
    student stays as it is.
    """
    device = start.offset.device
    cold = untouched.to(device).nonzero()[:, 0] + 1  # row 0: padding
    table = student.eval().item_table().detach()
    columns = student.item_table.columns_of(untouched)
    offset = start.offset.clone().requires_grad_()
    projection = start.projection.clone().requires_grad_()
    optimiser = torch.optim.Adam([offset], lr=LEARNING_RATE)
    optimiser.add_param_group({"params": [projection], "lr": PROJECTION_RATE})
    for some in _batches(rows):
        moved = table.index_add(0, cold, offset + columns @ projection.T)
        # cuDNN runs no GRU backwards in `eval()`, where dropout is off.
        with making_on(device), torch.backends.cudnn.flags(enabled=False):
            queries = student.encode_newest(_histories(student, dataset, some), moved)
        next_items = torch.from_numpy(dataset.item_indices[some].astype(np.int64)).to(device)
        loss = functional.cross_entropy(queries @ moved[1:].T, next_items - 1)
        offset.grad, projection.grad = torch.autograd.grad(loss, [offset, projection])
        optimiser.step()
    return ColdReading(projection.detach(), offset.detach(), start.direction)


def two_halves(dataset: Dataset) -> tuple[Rows, Rows]:
    """Validation examples of every other user, and of the others."""
    rows = dataset.example_rows(Split.VALIDATION)
    users = np.unique(dataset.user_of_row[rows], return_inverse=True)[1]
    return rows[users % 2 == 0], rows[users % 2 == 1]


def _ranked(student: Student, dataset: Dataset, rows: Rows) -> Evaluation:
    """How `student`, as it is, ranks what comes next in the examples `rows`."""
    return evaluate(ranker_of(StudentScorer(student, dataset), dataset), dataset, rows)


def _batches(rows: Rows) -> Iterator[Rows]:
    """`STEPS` of them, each example as often as any other."""
    generator = np.random.default_rng(SEED)
    rounds = -(-STEPS * BATCH_SIZE // len(rows))
    order = np.concatenate([generator.permutation(rows) for _ in range(rounds)])
    for step in range(STEPS):
        yield order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]


def _histories(student: Student, dataset: Dataset, rows: Rows) -> Tensor:
    histories = [dataset.history(int(row)) for row in rows]
    padded = torch.from_numpy(pad_histories(histories, student.max_history_length))
    return padded.to(student.item_table.padding.device)


@torch.no_grad()
def _queries(student: Student, dataset: Dataset, rows: Rows) -> Tensor:
    """What `student` asks for after the histories of `rows`, `[rows, hidden]`."""
    with making_on(student.item_table.padding.device):
        queries: Tensor = student.eval().encode_newest(
            _histories(student, dataset, rows), student.item_table()
        )
    return queries
