"""Exports the encoder of a trained RecBole SASRec or GRU4Rec to ONNX.

It runs in the environment of the model, which needs the package `onnx` too, and imports nothing of
this project. `export.imports.foreign` starts it:

python recbole_encoder.py model.pth OUT

`model.pth` is what RecBole's trainer saves. RecBole reads it, which can run code in it: use only
files that you trust. RecBole also reads the data set again, from the `data_path` of its settings,
since the file of the model has no item ids. OUT then has `encoder.onnx`, `vectors.npy`,
`items.json`, a list of item ids, and `facts.json`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import recbole
import torch
from recbole.quick_start import load_data_and_model
from torch import Tensor, nn
from torch.nn import functional

OPSET = 18
MODELS = ("SASRec", "GRU4Rec")


class Lookup(nn.Module):
    """Takes the place of a model's item table: looks up rows of the table in `tables`.

    Attributes:
        tables: a list with one table, `[rows, size]`, which changes with each run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[Tensor] = []

    def forward(self, rows: Tensor) -> Tensor:
        """Returns the vectors of `rows`, `[*rows, size]`."""
        return functional.embedding(rows, self.tables[0])


class Encoder(nn.Module):
    """RecBole's own `forward`, which reads item vectors instead of its item table.

    Attributes:
        model: the trained model.
        padding: `[1, size]`, the vector of its padding.
    """

    padding: Tensor

    def __init__(self, model: nn.Module, padding: Tensor) -> None:
        super().__init__()
        self.model = model
        self.lookup = model.item_embedding = Lookup()
        vars(model)["gather_indexes"] = at_places
        self.register_buffer("padding", padding)

    def forward(self, window: Tensor, vectors: Tensor) -> Tensor:
        """Computes the query vectors, `[batch, size]`.

        Args:
            window: `[batch, width]`, item indices; padding is 0, on the left.
            vectors: `[batch, width, size]`, the item vectors of the window's items.
        """
        # RecBole looks vectors up by index. This table has one row for each place.
        table = torch.cat([self.padding, vectors.reshape(-1, vectors.shape[2])])
        is_item = window > 0
        numbers = torch.arange(1, window.shape[0] * window.shape[1] + 1).reshape(window.shape)
        places = numbers * is_item
        # RecBole pads on the right.
        lengths = is_item.sum(dim=1)
        ordered = torch.arange(window.shape[1]) - lengths[:, None]
        places = places.gather(1, ordered % window.shape[1])
        self.lookup.tables[:] = [table]
        query: Tensor = self.model(places, lengths.clamp(min=1))
        # Without an item, RecBole's attention depends on the width of the window.
        return query * (lengths > 0)[:, None]


def at_places(output: Tensor, places: Tensor) -> Tensor:
    """Does what RecBole's `gather_indexes` does, without `squeeze`, which becomes a branch in ONNX.

    Args:
        output: `[batch, width, size]`.
        places: `[batch]`.

    Returns:
        `[batch, size]`, the vectors at the places.
    """
    index = places.view(-1, 1, 1).expand(-1, 1, output.shape[2])
    return output.gather(1, index)[:, 0]


def export(checkpoint: Path, out: Path) -> None:
    """Writes the files of the encoder into the folder `out`.

    Raises:
        ValueError: a bundle cannot answer as this model does.
    """
    config, model, dataset, *_ = load_data_and_model(str(checkpoint))
    if config["model"] not in MODELS:
        raise ValueError(f"model {config['model']}: only {' and '.join(MODELS)} are served")
    table = model.cpu().eval().item_embedding.weight.detach()
    write(Encoder(model, table[:1]), model.max_seq_length, table.shape[1], out / "encoder.onnx")
    np.save(out / "vectors.npy", table[1:].numpy(), allow_pickle=False)
    item_ids = [str(each) for each in dataset.field2id_token[dataset.iid_field][1:]]
    (out / "items.json").write_text(json.dumps(item_ids), encoding="utf-8")
    facts = {
        "program": f"recbole {recbole.__version__}",
        "model": config["model"].lower(),
        "max_history_length": model.max_seq_length,
    }
    (out / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def write(encoder: nn.Module, width: int, size: int, path: Path) -> None:
    """Exports `encoder` for any number of windows of any width up to `width`.

    torch's tracing exporter is used, since it has a form for recurrent layers.
    """
    window = torch.ones(2, width, dtype=torch.int64)
    axes: dict[str, Any] = {name: {0: "batch", 1: "width"} for name in ("window", "vectors")}
    with torch.no_grad():
        torch.onnx.export(
            encoder.eval(),
            (window, torch.ones(2, width, size)),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["window", "vectors"],
            output_names=["query"],
            dynamic_axes={**axes, "query": {0: "batch"}},
        )


def main() -> int:
    """Runs the program with the arguments of the process; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    try:
        export(options.checkpoint, options.out)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
