"""An outside witness: RecTools' SASRec or eSASRec, trained and tested on a prepared dataset.

It runs in an environment of its own, since RecTools needs NumPy 1, and imports nothing of this
project that needs another library. It reads the folder of a dataset, and writes the best items for
every held-out example. `training.ladder.witness` turns them into ranks by the project's own
measure.

python -m benchmarks.rivals.rectools_ranker work/NAME/dataset rankings.npz --model SASRec

NDCG@20 on a part of the validation examples chooses the epoch. The model of that epoch then ranks
all validation and test examples. A training that was stopped goes on with its next epoch.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import rectools
import torch
from numpy.typing import NDArray
from rectools import Columns
from rectools.dataset import Dataset as RecToolsDataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.lightning import TransformerLightningModule
from rectools.models.nn.transformers.ligr import LiGRLayers
from torch.nn import functional

from benchmarks.rivals.resumed_training import Facts, Progress, load_progress, save_progress
from training.compute.allocator import keep_freed_memory

LIST_LENGTH = 20
TRAIN, VALIDATION, TEST = 0, 2, 3  # values of `training.data.dataset.Split`
EPOCH_SEEDS = 100_003  # distance of the first random seeds of two trainings
LOSSES = {"SASRec": "softmax", "eSASRec": "sampled_softmax"}


@dataclass(frozen=True)
class Prepared:
    """The arrays that a dataset folder stores, see `training.data.dataset.Dataset`."""

    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    splits: NDArray[np.uint8]

    @property
    def users(self) -> NDArray[np.int64]:
        """Index of the user of each row, `[interactions]`."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def examples(self, split: int) -> NDArray[np.int64]:
        """Returns the rows of a split that have a history, ascending."""
        is_first = np.zeros(len(self.items), dtype=np.bool_)
        is_first[self.offsets[:-1]] = True
        return np.flatnonzero((self.splits == split) & ~is_first)

    def histories(self, rows: NDArray[np.int64]) -> RecToolsDataset:
        """Makes a RecTools dataset with one user per example, whose interactions are the history.

        The id of that user is the row of the example.
        """
        begins = self.offsets[:-1][self.users[rows]]
        lengths = rows - begins
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        places = np.repeat(begins, lengths) + within
        return interactions(np.repeat(rows, lengths), self.items[places], within)


def interactions(
    users: NDArray[np.int64], items: NDArray[np.int32], order: NDArray[np.int64]
) -> RecToolsDataset:
    """Makes a RecTools dataset of interactions, with `order` in the place of their times."""
    table = pd.DataFrame(
        {
            Columns.User: users,
            Columns.Item: items,
            Columns.Weight: 1,
            Columns.Datetime: pd.Timestamp("2000-01-01") + pd.to_timedelta(order, unit="s"),
        }
    )
    return RecToolsDataset.construct(table)


class WithoutPadding(TransformerLightningModule):
    """RecTools' training module, whose full softmax leaves out padding before it is computed.

    The loss and its gradients are those of RecTools, which computes the scores of padding too and
    then ignores them.
    """

    def get_batch_logits(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Computes the scores of all items where there is a target, `[targets, items]`."""
        scores: torch.Tensor
        if self.loss == "softmax":
            items = self.torch_model.item_model.get_all_embeddings()
            sessions = self.torch_model.encode_sessions(batch, items)[batch["y"] != 0]
            scores = self.torch_model.similarity_module(sessions, items) / self.logits_t
        else:
            scores = super().get_batch_logits(batch)
        return scores

    @classmethod
    def _calc_softmax_loss(
        cls, logits: torch.Tensor, y: torch.Tensor, w: torch.Tensor
    ) -> torch.Tensor:
        loss: torch.Tensor
        if logits.dim() > 2:  # of targets and sampled items
            loss = super()._calc_softmax_loss(logits, y, w)
        else:
            losses = functional.cross_entropy(logits, y[y != 0], reduction="none") * w[y != 0]
            loss = losses.sum() / (losses > 0).sum()
        return loss


def build(options: argparse.Namespace) -> SASRecModel:
    """Makes the untrained model; eSASRec is SASRec with LiGR layers and a sampled softmax."""
    is_e = options.model == "eSASRec"
    layers = {"transformer_layers_type": LiGRLayers} if is_e else {}
    return SASRecModel(
        n_blocks=2,
        n_heads=options.heads,
        n_factors=options.factors,
        dropout_rate=options.dropout,
        session_max_len=options.max_length,
        loss=LOSSES[options.model],
        n_negatives=options.negatives if is_e else 1,
        lr=options.learning_rate,
        batch_size=options.batch_size,
        epochs=1,
        deterministic=True,
        use_key_padding_mask=is_e,
        recommend_torch_device="cpu",
        lightning_module_type=WithoutPadding,
        **layers,
    )


def rank(model: SASRecModel, data: Prepared, rows: NDArray[np.int64]) -> NDArray[np.int32]:
    """Ranks the items that are not in the history of each example.

    Returns:
        The best items, `[examples, LIST_LENGTH]`, best first; 0 where no item is left.
    """
    found = model.recommend(
        users=rows,
        dataset=data.histories(rows),
        k=LIST_LENGTH,
        filter_viewed=True,
        on_unsupported_targets="ignore",  # no item of the history was trained on
    )
    rankings = np.zeros((len(rows), LIST_LENGTH), dtype=np.int32)
    lines = np.searchsorted(rows, found[Columns.User])
    rankings[lines, found[Columns.Rank] - 1] = found[Columns.Item]
    return rankings


def ndcg(data: Prepared, rows: NDArray[np.int64], rankings: NDArray[np.int32]) -> float:
    """Returns the mean NDCG@20 of rankings, with one relevant item per example."""
    hits = rankings == data.items[rows][:, None]
    return float((hits / np.log2(np.arange(2, LIST_LENGTH + 2))).sum(axis=1).mean())


def train(
    data: Prepared, options: argparse.Namespace, facts: Facts, state: Path
) -> tuple[SASRecModel, Progress]:
    """Trains the model until NDCG@20 on validation examples stops rising.

    Args:
        data: the dataset.
        options: settings of the training.
        facts: whatever decides how the training goes.
        state: file of the progress; a training that was stopped goes on from it.

    Returns:
        The model with the weights of its best epoch, and the progress.
    """
    trained = np.flatnonzero(data.splits == TRAIN)
    training = interactions(data.users[trained], data.items[trained], trained)
    model = build(options)
    model.fit_partial(training, min_epochs=0, max_epochs=0)  # builds what is trained
    module, optimiser = model.torch_model, model.lightning_model.configure_optimizers()
    progress = load_progress(state, facts, module, optimiser)
    model.lightning_model.is_fitted = progress.epoch > 0  # else its first epoch draws new weights
    rows = data.examples(VALIDATION)
    rows = rows[:: -(-len(rows) // options.examples)]
    while not is_over(progress, options):
        began = time.perf_counter()
        seed_all(options.seed * EPOCH_SEEDS + progress.epoch)
        model.fit_partial(training, min_epochs=options.every, max_epochs=options.every)
        record(progress, options.every, ndcg(data, rows, rank(model, data, rows)), module)
        progress.seconds += time.perf_counter() - began
        save_progress(state, facts, progress, module, optimiser)
    module.load_state_dict(progress.weights)
    return model, progress


def seed_all(seed: int) -> None:
    """Seeds the random numbers of all libraries, the same at the begin of an epoch each time."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def is_over(progress: Progress, options: argparse.Namespace) -> bool:
    """Returns whether the training has all its epochs, or waited too long for a better one."""
    waited = progress.epoch - progress.best_epoch
    return progress.epoch >= options.epochs or (progress.epoch > 0 and waited >= options.patience)


def record(progress: Progress, epochs: int, figure: float, module: torch.nn.Module) -> None:
    """Counts finished epochs with the validation NDCG@20 after them; keeps the best weights."""
    progress.epoch += epochs
    print(f"epoch {progress.epoch}: validation NDCG@20 {figure:.4f}", flush=True)  # noqa: T201
    if figure > progress.best:
        progress.best, progress.best_epoch = figure, progress.epoch
        progress.weights = deepcopy(module.state_dict())


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program with `arguments`; None stands for those of the process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="folder that `prepare` wrote")
    parser.add_argument("out", type=Path, help=".npz file of rankings")
    parser.add_argument("--model", choices=tuple(LOSSES), default="SASRec")
    for name, default in (
        *(("epochs", 100), ("patience", 10), ("batch_size", 128), ("max_length", 50)),
        *(("factors", 64), ("heads", 2), ("negatives", 256), ("seed", 0)),
        *(("every", 1), ("examples", 2_000)),
    ):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args(arguments)
    keep_freed_memory()  # or half of a step is the kernel's
    seed_all(options.seed)
    with np.load(options.dataset / "interactions.npz", allow_pickle=False) as arrays:
        data = Prepared(arrays["item_indices"], arrays["user_offsets"], arrays["splits"])
    description = json.loads((options.dataset / "dataset.json").read_text(encoding="utf-8"))
    facts = {
        "settings": {k: v for k, v in vars(options).items() if k not in ("dataset", "out")},
        "rectools": rectools.__version__,
        "fingerprint": description["fingerprint"],
    }
    state = options.out.with_suffix(".progress")
    model, progress = train(data, options, facts, state)
    validation, test = (rank(model, data, data.examples(each)) for each in (VALIDATION, TEST))
    found = {"best_epoch": progress.best_epoch, "seconds": progress.seconds}
    text = np.array(json.dumps({**facts, **found}))
    np.savez_compressed(options.out, facts=text, validation=validation, test=test)
    state.unlink()


if __name__ == "__main__":
    main()
