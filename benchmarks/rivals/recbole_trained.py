"""Trains RecBole's SASRec or GRU4Rec, saves its checkpoint, and asks it for its best items.

It runs in an environment of its own, since RecBole needs NumPy 1, and imports of this project only
what needs no package. `proofs.imports` compares its answers with those of the imported bundle.

python -m benchmarks.rivals.recbole_trained training.csv histories.csv OUT --model SASRec

Both tables have the columns user_id, item_id and position. The settings are RecBole's defaults, for
a model that learns from all items (no negative samples): up to 300 epochs, ended by ten without a
better validation. OUT/model.pth is the checkpoint of the best epoch, which needs OUT/data/ too. If
it was trained with the same library, settings and data, nothing is trained. OUT/answers.npz is that
of `rectools_trained`, and has `epochs`, the number of epochs up to the best one.
"""

import argparse
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.quick_start import load_data_and_model
from recbole.utils import get_model, get_trainer, init_seed

from benchmarks.rivals.kept_models import facts_of, train_once

LIST_LENGTH = 20
NUM_TIMED = 200
DATASET = "data"
EPOCHS = "epochs.txt"  # number of epochs up to the best one
SETTINGS: dict[str, Any] = {  # other than RecBole's defaults
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "train_neg_sample_args": None,
    "use_gpu": False,
    "show_progress": False,
}


def write_inter(table: pd.DataFrame, out: Path) -> None:
    """Writes interactions as RecBole's atomic file `data/data.inter` in the folder `out`."""
    path = out / DATASET / f"{DATASET}.inter"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "user_id": "user_id:token",
        "item_id": "item_id:token",
        "position": "timestamp:float",
    }
    table.rename(columns=columns)[list(columns.values())].to_csv(path, sep="\t", index=False)


def train(name: str, settings: dict[str, Any], training: Path, out: Path) -> None:
    """Trains the model called `name`; saves its best epoch as `out`, and that epoch's number."""
    folder = out.parent
    write_inter(pd.read_csv(training, dtype={"user_id": str, "item_id": str}), folder)
    places = {"data_path": str(folder), "checkpoint_dir": str(folder)}
    config = Config(model=name, dataset=DATASET, config_dict=settings | places)
    init_seed(config["seed"], config["reproducibility"])
    train_data, validation, _ = data_preparation(config, create_dataset(config))
    model = get_model(name)(config, train_data.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    trainer.saved_model_file = str(out)
    scores: list[float] = []  # of validation, after each epoch
    trainer.fit(
        train_data,
        validation,
        saved=True,
        show_progress=False,
        callback_fn=lambda _, score: scores.append(score),
    )
    out.with_name(EPOCHS).write_text(str(1 + int(np.argmax(scores))))


def load(checkpoint: Path) -> tuple[Any, Any]:
    """Returns a checkpoint's model and dataset, as RecBole loads them."""
    # The file has RecBole's settings as a Python object, which torch loads only with this variable.
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    _, model, dataset, *_ = load_data_and_model(str(checkpoint))
    return model.eval(), dataset


@torch.no_grad()
def recommend(model: Any, dataset: Any, item_ids: Sequence[str]) -> tuple[list[str], list[float]]:
    """Returns the best unseen items after a history, and their scores by `full_sort_predict`."""
    known = dataset.field2token_id["item_id"]
    seen = [known[item_id] for item_id in item_ids if item_id in known]
    window = seen[-model.max_seq_length :]
    padded = torch.zeros(1, model.max_seq_length, dtype=torch.int64)
    padded[0, : len(window)] = torch.tensor(window)
    query = Interaction({model.ITEM_SEQ: padded, model.ITEM_SEQ_LEN: torch.tensor([len(window)])})
    scores = model.full_sort_predict(query).view(-1)
    scores[[0, *seen]] = -torch.inf
    best = scores.topk(LIST_LENGTH)
    return list(dataset.id2token("item_id", best.indices.numpy())), best.values.tolist()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program with `arguments`; None stands for those of the process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("training", "histories", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--model", choices=("SASRec", "GRU4Rec"), default="SASRec")
    parser.add_argument("--epochs", type=int, help="instead of RecBole's default")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    text = {"user_id": str, "item_id": str}
    checkpoint = options.out / "model.pth"
    settings = SETTINGS | ({"epochs": options.epochs} if options.epochs else {})
    facts = facts_of("recbole", options.model, settings, options.training)
    train_once(checkpoint, facts, lambda out: train(options.model, settings, options.training, out))
    model, dataset = load(checkpoint)
    histories = pd.read_csv(options.histories, dtype=text).groupby("user_id", sort=False)["item_id"]
    answers, milliseconds = [], []
    for _, item_ids in histories:
        began = time.perf_counter()
        answers.append(recommend(model, dataset, item_ids.tolist()))
        milliseconds.append(1e3 * (time.perf_counter() - began))
    np.savez_compressed(
        options.out / "answers.npz",
        users=np.array([user for user, _ in histories], dtype=str),
        items=np.array([items for items, _ in answers], dtype=str),
        scores=np.array([scores for _, scores in answers]),
        milliseconds=np.array(milliseconds[:NUM_TIMED]),
        epochs=int((options.out / EPOCHS).read_text()),
    )


if __name__ == "__main__":
    main()
