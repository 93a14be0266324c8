"""Trains RecTools' SASRec, eSASRec or BERT4Rec, saves its checkpoint, and asks for its best items.

It runs in an environment of its own, since RecTools needs NumPy 1, and imports of this project only
what needs no package. `proofs.imports` compares its answers with those of the imported bundle.

python -m benchmarks.rivals.rectools_trained training.csv histories.csv OUT --model SASRec

Both tables have the columns user_id, item_id and position. All settings are RecTools' defaults,
three epochs among them, but for those that make SASRec an eSASRec. OUT/model.ckpt is the
checkpoint. If it was trained with the same library, settings and data, nothing is trained.
OUT/answers.npz has the arrays `users` `[histories]`, `items` and `scores` `[histories, 20]`, and
`milliseconds` `[calls]`, the time of `recommend` for one user.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pytorch_lightning import seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, SASRecModel
from rectools.models.nn.transformers.base import TransformerModelBase

from benchmarks.rivals.kept_models import facts_of, train_once

LIST_LENGTH = 20
NUM_TIMED = 200
MODELS = {"SASRec": SASRecModel, "eSASRec": SASRecModel, "BERT4Rec": BERT4RecModel}
ESASREC = {
    "transformer_layers_type": "rectools.models.nn.transformers.ligr.LiGRLayers",
    "loss": "sampled_softmax",
    "n_negatives": 256,
    "use_key_padding_mask": True,
}


def read(path: Path) -> pd.DataFrame:
    """Reads a table of interactions with RecTools' names of columns."""
    table = pd.read_csv(path, dtype={"user_id": str, "item_id": str})
    moment = pd.Timestamp("2000-01-01") + pd.to_timedelta(table["position"], unit="s")
    return pd.DataFrame(
        {
            Columns.User: table["user_id"],
            Columns.Item: table["item_id"],
            Columns.Weight: 1.0,
            Columns.Datetime: moment,
        }
    )


def answers(model: TransformerModelBase, histories: pd.DataFrame) -> dict[str, Any]:
    """Asks the model for the best items after all histories, then after one at a time for speed."""
    users = [str(each) for each in histories[Columns.User].unique()]
    found = recommend(model, histories, users)
    shape = (len(users), LIST_LENGTH)
    by_user = found.groupby(Columns.User, sort=False)
    each = [by_user.get_group(user) for user in users]
    milliseconds = []
    for user in users[:NUM_TIMED]:
        of_user = histories[histories[Columns.User] == user]
        began = time.perf_counter()
        recommend(model, of_user, [user])
        milliseconds.append(1e3 * (time.perf_counter() - began))
    return {
        "users": np.array(users),
        "items": np.concatenate([one[Columns.Item] for one in each]).astype(str).reshape(shape),
        "scores": np.concatenate([one[Columns.Score] for one in each]).reshape(shape),
        "milliseconds": np.array(milliseconds),
    }


def recommend(
    model: TransformerModelBase, histories: pd.DataFrame, users: Sequence[str]
) -> pd.DataFrame:
    """Returns the best unseen items of each user."""
    dataset = Dataset.construct(histories)
    found: pd.DataFrame = model.recommend(
        users=users, dataset=dataset, k=LIST_LENGTH, filter_viewed=True
    )
    return found


def train(name: str, settings: dict[str, Any], training: Path, out: Path) -> None:
    """Trains the model called `name`, with `settings` in place of defaults; saves it as `out`."""
    seed_everything(0)
    model = MODELS[name].from_config(settings)
    model.fit(Dataset.construct(read(training)))
    model.fit_trainer.save_checkpoint(out)


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the settings that differ from RecTools' defaults."""
    given = {
        "epochs": options.epochs,
        "n_factors": options.factors,
        "session_max_len": options.window,
    }
    chosen = {name: each for name, each in given.items() if each}
    kind = ESASREC if options.model == "eSASRec" else {}
    return {"recommend_torch_device": "cpu", **kind, **chosen}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program with `arguments`; None stands for those of the process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("training", "histories", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--model", choices=tuple(MODELS), default="SASRec")
    parser.add_argument("--epochs", type=int, help="instead of RecTools' default")
    parser.add_argument("--factors", type=int, help="instead of RecTools' default")
    parser.add_argument("--window", type=int, help="session_max_len, instead of RecTools' default")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.out / "model.ckpt"
    settings = settings_of(options)
    facts = facts_of("rectools", options.model, settings, options.training)
    train_once(checkpoint, facts, lambda out: train(options.model, settings, options.training, out))
    model = MODELS[options.model].load_from_checkpoint(checkpoint, map_location="cpu")
    np.savez_compressed(options.out / "answers.npz", **answers(model, read(options.histories)))


if __name__ == "__main__":
    main()
