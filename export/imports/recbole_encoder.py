"""Exports the encoder of a trained RecBole SASRec or GRU4Rec to ONNX.

This program runs in RecBole's environment, which needs the package `onnx` too. It imports nothing
of this project. `export.imports.foreign` starts it:

python recbole_encoder.py model.pth OUT

`model.pth` is the file that RecBole's trainer saves. RecBole reads it, which can run code that the
file contains: use only files that you trust. RecBole also reads the data set again, from the
`data_path` of its settings, since `model.pth` has no item ids.

The program writes `encoder.onnx`, `vectors.npy`, `items.json` (a list of item ids) and `facts.json`
into the existing folder OUT.
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
    """Module in place of a model's item embedding: looks up rows of the table in `tables`.

    Attributes:
        tables: a list with one table, `[rows, size]`, which the encoder replaces in each run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[Tensor] = []

    def forward(self, rows: Tensor) -> Tensor:
        """Looks up the table's rows at the indices `rows`; returns `[*rows.shape, size]`."""
        return functional.embedding(rows, self.tables[0])


class Encoder(nn.Module):
    """Runs a RecBole model's `forward` on given item vectors in place of its item table.

    Attributes:
        model: the trained model; its item embedding is replaced by a `Lookup`.
        padding: `[1, size]`, the model's vector of padding.
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
        # RecBole looks vectors up by index. This table has one row per position of the windows.
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
    """Selects one vector of each sequence, as RecBole's `gather_indexes` does.

    RecBole's function also calls `squeeze`. This function avoids it, since `squeeze` becomes a
    branch in ONNX.

    Args:
        output: `[batch, width, size]`, sequences of vectors.
        places: `[batch]`, the position to select in each sequence.

    Returns:
        `[batch, size]`, the selected vectors.
    """
    index = places.view(-1, 1, 1).expand(-1, 1, output.shape[2])
    return output.gather(1, index)[:, 0]


def export(checkpoint: Path, out: Path) -> None:
    """Writes a trained RecBole model as files into the existing folder `out`.

    The files are `encoder.onnx` (from a history to a query vector), `vectors.npy` (item vectors),
    `items.json` (item ids) and `facts.json` (program, kind of model and length of the window).

    Raises:
        ValueError: the kind of the model is not one of `MODELS`.
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
    """Exports `encoder` to the ONNX file `path`, for any batch size and windows of up to `width`.

    `size` is the length of an item vector. torch's tracing exporter is used, since it supports
    recurrent layers.
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
